"""When each secret is due: a pure function of its name, its age, its policy and the moment.

Rules:

* Nothing is stored: since when a value stands is the time of its version in Vault, the last try is in the ledger, and
  the jitter follows from the name.
* A secret is due in the window in which it gets too old, or in the next one. What was missed, for however long, is one
  run; in one window a secret is tried once, also when the try failed.
* Windows are local time, and each day has one: in the hour that a clock jumps over it keeps its length, of an hour
  that comes twice the first counts.
* A value that is dated in the future is overdue and not due: a clock is wrong, and rotating would not mend it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from nasos.settings.schedule import Times, Window, duration, fits, window

AGAIN: Final = timedelta(hours=6)
"""From a failed try to the next one where no window says it."""
SKEW: Final = timedelta(hours=1)
"""By so much two clocks may differ."""

NIGHT: Final = Window(time(3), time(5))
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often, and when in the day."""

    every: timedelta
    window: Window | None = NIGHT
    jitter: timedelta = timedelta(hours=1)
    """At most so much later; half of the window, where that is less."""
    grace: timedelta = timedelta(days=7)
    """Overdue when it is so much older than ``every``."""
    automatic: bool = True


DEFAULTS: Final[Mapping[str, Policy]] = {
    "bots/*/db": Policy(every=timedelta(days=30)),
    "bots/*/jwt": Policy(every=timedelta(days=30)),
    # People type it: they choose the day.
    "bots/*/password": Policy(every=timedelta(days=180), grace=timedelta(days=30), automatic=False),
    "bots/*/exchange": Policy(every=timedelta(days=90), grace=timedelta(), automatic=False),
    "postgres/admin": Policy(every=timedelta(days=90)),
    # Vault stops for some seconds, and whoever keeps a copy of the key has to copy the new one.
    "vault/seal-key": Policy(every=timedelta(days=365), grace=timedelta(days=30), automatic=False),
    # Made with their certificates, which live for 90 days and are renewed after 60 by whoever comes by.
    "tls/ca.key": Policy(every=timedelta(days=3285), grace=timedelta(days=180), automatic=False),
    "tls/*.key": Policy(every=timedelta(days=60), grace=timedelta(days=15), automatic=False),
    # They live for 30 days.
    "credentials/*": Policy(every=timedelta(days=14)),
}
"""By kind; the first that fits."""
BY_A_PERSON: Final = ("bots/*/exchange", "vault/seal-key")
"""Never by the clock: one makes the new key at the exchange, and keeps a copy of the other."""
ROTATES: Final = Policy(every=timedelta(days=90))
"""Whatever else has a rotator."""
REMINDS: Final = Policy(every=timedelta(days=365), grace=timedelta(days=30), automatic=False)
"""Whatever only a person can replace."""


def policy(name: str, schedule: Mapping[str, Times], *, rotates: bool, api_key_days: int = 90) -> Policy:
    """What applies to a secret; ``rotates``: whether it has a rotator.

    Raises:
        SettingsError: A text of the schedule cannot be understood.
    """
    default = next(
        (found for pattern, found in DEFAULTS.items() if fits(pattern, name)), ROTATES if rotates else REMINDS
    )
    if fits("bots/*/exchange", name):
        default = Policy(every=timedelta(days=api_key_days), grace=default.grace, automatic=False)
    chosen = next((entry for pattern, entry in schedule.items() if fits(pattern, name)), Times())
    place = f'rotation.schedule."{name}"'
    alone = rotates and not any(fits(pattern, name) for pattern in BY_A_PERSON)
    return Policy(
        every=default.every if chosen.every is None else duration(chosen.every, f"{place}.every"),
        window=default.window if chosen.window is None else window(chosen.window, f"{place}.window"),
        jitter=default.jitter if chosen.jitter is None else duration(chosen.jitter, f"{place}.jitter"),
        grace=default.grace if chosen.grace is None else duration(chosen.grace, f"{place}.grace"),
        automatic=alone and (default.automatic if chosen.how is None else chosen.how == "automatic"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One secret's line of the timetable."""

    name: str
    policy: Policy
    since: datetime | None
    """None: nothing is stored yet."""
    next: datetime | None
    """When it is to be replaced; in the past while it is due."""
    due: bool
    """Now is the time to rotate it; always false for reminders."""
    overdue: bool
    why: str = ""
    """Why it is overdue."""


def line(  # noqa: PLR0913  a pure function's facts, by name
    name: str, chosen: Policy, *, since: datetime | None, now: datetime, tried: datetime | None = None,
    zone: tzinfo | None = None,
) -> Line:  # fmt: skip
    """A secret's line; ``tried`` is the begin of its newest rotation, ``zone`` None the machine's own."""
    if since is None:
        return Line(name=name, policy=chosen, since=None, next=None, due=False, overdue=False)
    if since > now + SKEW:
        why = f"its value is dated {since:%Y-%m-%d %H:%M} UTC, which is in the future: look at the clocks"
        return Line(name=name, policy=chosen, since=since, next=None, due=False, overdue=True, why=why)
    following = _next(name, chosen, since, tried, now, zone) if chosen.automatic else since + chosen.every
    over = now - since - chosen.every - chosen.grace
    why = f"{(now - since).days} days old, due at {shown(chosen.every)}" if over >= timedelta() else ""
    due = chosen.automatic and following <= now
    return Line(name=name, policy=chosen, since=since, next=following, due=due, overdue=bool(why), why=why)


def _next(  # noqa: PLR0913, PLR0917  as above
    name: str, chosen: Policy, since: datetime, tried: datetime | None, now: datetime, zone: tzinfo | None
) -> datetime:
    ready = since + chosen.every
    last = max(since, tried) if tried is not None and tried <= now else since
    if chosen.window is None:
        ready += spread(name, chosen.jitter)
        return ready if last == since else max(ready, last + min(AGAIN, chosen.every))
    for start, end in windows(chosen.window, max(ready, now, last) - 2 * _DAY, zone):
        if start > last and end > ready and end > now:
            return start + spread(name, min(chosen.jitter, (end - start) / 2))
    raise AssertionError("there is a window every day")


def windows(window: Window, after: datetime, zone: tzinfo | None) -> Iterator[tuple[datetime, datetime]]:
    """Begin and end of each day's window, from the day of ``after`` on; they never overlap."""
    day = after.astimezone(zone).date()
    start = _moment(day, window.start, zone)
    while True:
        tomorrow = _moment(day + _DAY, window.start, zone)
        end = _moment(day + _DAY if window.end <= window.start else day, window.end, zone)
        if end <= start:  # the clock jumps over all of it
            end = start + window.length
        if start < tomorrow:
            yield start, min(end, tomorrow)
        day, start = day + _DAY, tomorrow


def _moment(day: date, wall: time, zone: tzinfo | None) -> datetime:
    # Without a zone astimezone() takes the time for the machine's own.
    return datetime.combine(day, wall, zone).astimezone(UTC)


def spread(name: str, most: timedelta) -> timedelta:
    """How much later than it could, from 0 to ``most``: always the same for one name."""
    return most * (int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / (1 << 32))


def shown(span: timedelta) -> str:
    """``30d``, ``12h``, ``90m``."""
    minutes = int(span.total_seconds()) // 60
    for letter, size in (("d", 24 * 60), ("h", 60)):
        if minutes % size == 0 and minutes:
            return f"{minutes // size}{letter}"
    return f"{minutes}m"
