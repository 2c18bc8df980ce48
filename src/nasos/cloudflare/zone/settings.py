"""A zone's settings as we want them; pure, with the time as an argument.

Rules: a setting that is stricter already is left alone. Full (strict) is wanted only when the edge shows a certificate
that Cloudflare accepts: before, every visitor would get an error (526). HSTS grows step by step, each held long enough
for somebody to notice what it breaks; it never shrinks, never takes other names of the zone along, and never asks to be
preloaded: a preloaded zone cannot be taken back for months (hstspreload.org). How long a step has been held is the
setting's own ``modified_on``: nothing has to be remembered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

Value: TypeAlias = str | Mapping[str, object]

HSTS: Final = "security_header"
STEPS: Final = (
    (300, timedelta(days=1)),
    (86_400, timedelta(days=7)),
    (2_592_000, timedelta(days=30)),
    (63_072_000, timedelta()),
)
"""Seconds that browsers keep it, and how long that is held before the next: five minutes, a day, 30 days, two years."""

PLAIN: Final = (
    ("ssl", "strict", ("strict", "origin_pull")),
    ("min_tls_version", "1.2", ("1.2", "1.3")),
    ("tls_1_3", "on", ("on", "zrt")),
    ("0rtt", "off", ("off",)),
    ("always_use_https", "on", ("on",)),
    ("automatic_https_rewrites", "on", ("on",)),
)
"""Setting, what we set, what is as good; in this order: a redirect to https before Full would go round in circles."""
NAMES: Final = (*(name for name, _, _ in PLAIN), HSTS)


@dataclass(frozen=True, slots=True)
class Observed:
    """A setting as it is."""

    name: str
    value: object
    editable: bool = True
    """Whether the zone's plan allows to change it."""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting that is to be another one."""

    name: str
    before: object
    after: Value

    @property
    def what(self) -> str:
        """For people."""
        return f"setting {self.name}"


@dataclass(frozen=True, slots=True)
class Note:
    """What is not done, and why; said, never skipped silently."""

    what: str
    why: str
    wrong: bool = False
    """It is a finding; else there is nothing to mend."""


def settings(
    found: Mapping[str, Observed], now: datetime, *, origin_trusted: bool, left_alone: frozenset[str] = frozenset()
) -> tuple[list[SettingChange], list[Note]]:
    """What is to be changed, and what is not."""
    changes: list[SettingChange] = []
    notes: list[Note] = []
    for name in NAMES:
        observed = found.get(name)
        if name in left_alone:
            notes.append(Note(f"setting {name}", "nasos.toml leaves it alone (untouched)"))
        elif observed is None:
            notes.append(Note(f"setting {name}", "Cloudflare does not tell of it in this zone"))
        else:
            _one(observed, now, changes, notes, origin_trusted=origin_trusted)
    return changes, notes


def _one(
    observed: Observed, now: datetime, changes: list[SettingChange], notes: list[Note], *, origin_trusted: bool
) -> None:
    change = _hsts(observed, now, notes) if observed.name == HSTS else _plain(observed)
    if change is None:
        return
    if not observed.editable:
        notes.append(Note(change.what, "the zone's plan does not allow to change it"))
    elif observed.name == "ssl" and not origin_trusted:
        why = "the edge shows a certificate of the development CA, which Cloudflare does not accept"
        notes.append(Note(change.what, f"{why}: nasos tls setup --mode cloudflare", wrong=True))
    else:
        changes.append(change)


def _plain(observed: Observed) -> SettingChange | None:
    _, wanted, good = next(each for each in PLAIN if each[0] == observed.name)
    return None if observed.value in good else SettingChange(observed.name, observed.value, wanted)


def _hsts(observed: Observed, now: datetime, notes: list[Note]) -> SettingChange | None:
    value = observed.value if isinstance(observed.value, Mapping) else {}
    inner = value.get("strict_transport_security")
    current = dict(inner) if isinstance(inner, Mapping) else {}
    age = current.get("max_age")
    seconds = int(age) if current.get("enabled") is True and isinstance(age, int | float) else 0
    held = now - observed.modified if observed.modified else timedelta()
    step = next_step(seconds, held)
    if step == seconds:
        if seconds < STEPS[-1][0]:
            notes.append(Note(f"setting {HSTS}", f"HSTS is held at {seconds} s before it grows: apply again later"))
        return None
    # What somebody chose beside it stays: preload and includeSubDomains are not ours to give or to take.
    return SettingChange(
        HSTS, observed.value, {"strict_transport_security": {**current, "enabled": True, "max_age": step}}
    )


def next_step(seconds: int, held: timedelta) -> int:
    """What HSTS is to be now, when it has been ``seconds`` for so long; 0: it is off."""
    reached = [index for index, (age, _) in enumerate(STEPS) if age <= seconds]
    if not reached:
        return STEPS[0][0]
    index = reached[-1]
    if index + 1 == len(STEPS) or held < STEPS[index][1]:
        return seconds
    return STEPS[index + 1][0]
