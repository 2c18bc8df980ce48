"""The timetable of this stack: what rotates by itself, and what only a person can replace, each with its dates.

Rules: every secret that is stored in Vault has a line: that of its unit, else a reminder. A secret whose age cannot be
told is overdue: somebody has to look. When a unit was last tried is
read from the ledger; a ledger that cannot be read costs a second try, not the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Final

from nasos.errors import Error, LedgerError, VaultSealed, VaultUnreachable
from nasos.ledger import named
from nasos.rotation import ages
from nasos.rotation.engine import Engine
from nasos.rotation.timetable import Line, line, policy
from nasos.settings import RotationSettings
from nasos.vault.store import SecretStore

AWAY: Final = (VaultSealed, VaultUnreachable)
"""Not one secret's trouble."""
OURS: Final = ("_meta/", "_rotation/")
"""Folders without a secret of their own: what the servers' state is, and what is about to become current."""


def timetable(
    engine: Engine, settings: RotationSettings, ledger: Path, now: datetime, zone: tzinfo | None = None
) -> list[Line]:
    """All lines, by name.

    Raises:
        VaultError: Vault cannot be asked.
    """
    tried = begun(ledger)

    def judged(name: str, since: Callable[[], datetime | None], *, rotates: bool) -> Line:
        chosen = policy(name, settings.schedule, rotates=rotates, api_key_days=settings.api_key_days)
        try:
            return line(name, chosen, since=since(), tried=tried.get(name), now=now, zone=zone)
        except AWAY:
            raise
        except Error as error:
            why = f"its age cannot be told: {error.message}"
            return Line(name=name, policy=chosen, since=None, next=None, due=False, overdue=True, why=why)

    lines = [judged(name, partial(ages.since, engine.store, unit), rotates=True) for name, unit in engine.units.items()]
    lines += [judged(name, each.since, rotates=True) for name, each in engine.procedures.items()]
    rotated = {part.name for unit in engine.units.values() for part in unit.parts}
    for name, since in stored(engine.store):
        if name not in rotated:
            lines.append(judged(name, partial(_known, since), rotates=False))
    return sorted(lines, key=lambda each: each.name)


def _known(since: datetime) -> datetime:
    return since


def stored(store: SecretStore, folder: str = "") -> Iterator[tuple[str, datetime]]:
    """Every secret's path below ``nasos/``, and when its newest version was written; no value is read."""
    for name in store.list(f"nasos/{folder}".rstrip("/")):
        path = folder + name
        if path in OURS:
            continue
        if name.endswith("/"):
            yield from stored(store, path)
            continue
        versions = store.metadata(f"nasos/{path}").versions
        if versions and not (versions[-1].deleted or versions[-1].destroyed):
            yield path, versions[-1].created


def begun(ledger: Path) -> Mapping[str, datetime]:
    """When each unit's newest rotation began, as far as it matters: of late."""
    found: dict[str, datetime] = {}
    try:
        for event in named(ledger, "rotation.begin", recent=True):
            found[event.target] = datetime.fromisoformat(event.time)
    except LedgerError:
        return found
    return found
