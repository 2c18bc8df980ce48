"""One look at the timetable: finish what was left open, rotate what is due, tell of what is overdue.

Rules: one secret's trouble keeps no other from its turn; another rotator at work is none. That a secret is overdue is
an event when it becomes so, and again each week.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final

from nasos.errors import AlreadyRunning, Error, LedgerError
from nasos.ledger import Outcome, named
from nasos.rotation.engine import Engine
from nasos.rotation.run import Result
from nasos.rotation.timetable import Line
from nasos.settings import RotationSettings
from nasos.stack.rotation import key_watch
from nasos.stack.rotation.timetable import timetable

REMIND: Final = timedelta(days=7)
"""From one event about an overdue secret to the next."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look found and did."""

    lines: Sequence[Line]
    """The timetable afterwards."""
    results: Sequence[Result] = ()
    errors: Sequence[Error] = ()
    """What could not be done now."""
    busy: str = ""
    """Who is at work, where that left something to the next look."""

    @property
    def overdue(self) -> list[Line]:
        """What somebody has to see to."""
        return [line for line in self.lines if line.overdue]


@dataclass(slots=True)
class Look:
    """The hands of one look."""

    engine: Engine
    settings: RotationSettings
    ledger: Path
    actor: str
    zone: tzinfo | None = None
    results: list[Result] = field(default_factory=list)
    errors: list[Error] = field(default_factory=list)
    busy: str = ""

    def all(self) -> Looked:
        """Everything.

        Raises:
            VaultError: Vault cannot be asked for the ages.
        """
        self._try_resume()
        lines = self.lines()
        for line in lines:
            if line.due:
                self._try_rotate(line)
        if any(line.due for line in lines):
            lines = self.lines()
        self._remind(lines)
        return Looked(lines, self.results, self.errors, self.busy)

    def lines(self) -> list[Line]:
        """The timetable now."""
        return timetable(self.engine, self.settings, self.ledger, self.engine.now(), self.zone)

    def _remind(self, lines: Sequence[Line]) -> None:
        now = self.engine.now()
        keys = key_watch.names(self.engine.store)
        remind(self.engine, [line for line in lines if line.name not in keys], self.ledger, now)
        for name in keys:  # with dates of their own: an exchange ends keys, too
            key = key_watch.watched(self.engine.store, name, self.settings.api_key_days)
            if key is not None:
                key_watch.remind(self.engine.store, key, self.engine.tell, now)

    def _try_resume(self) -> None:
        try:
            self.results += self.engine.resume()
        except AlreadyRunning as error:
            self.busy = error.message
        except Error as error:
            self.errors.append(error)

    def _try_rotate(self, line: Line) -> None:
        try:
            self.results.append(self.engine.rotate(line.name, actor=self.actor, reason="due"))
        except AlreadyRunning as error:
            self.busy = error.message
        except Error as error:
            self.errors.append(error)


def remind(engine: Engine, lines: Sequence[Line], ledger: Path, now: datetime) -> None:
    """Tell of what is overdue, unless it was told lately of this very value."""
    late = [line for line in lines if line.overdue]
    told = _told(ledger) if late else {}
    for line in late:
        last = told.get(line.name)
        again = last is None or last > now or now - last >= REMIND or (line.since is not None and last < line.since)
        if again:
            how = "automatic" if line.policy.automatic else "reminder"
            engine.tell("rotation.overdue", line.name, Outcome.FAILED, {"why": line.why, "how": how})


def _told(ledger: Path) -> dict[str, datetime]:
    try:
        events = named(ledger, "rotation.overdue", recent=True)
    except LedgerError:
        return {}
    return {event.target: datetime.fromisoformat(event.time) for event in events}
