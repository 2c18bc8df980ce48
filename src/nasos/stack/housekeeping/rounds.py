"""One round after the other: disks first, because everything else needs room; then logs; then what is known.

Rules: no trouble with one log or disk keeps the others from their turn, and none ends the program; each trouble is said
once when it comes, and stands in the state until it is gone. An event that cannot be written yet is kept for the next
round: the ballast goes first, the word about it follows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from nasos import disk
from nasos.disk import Room
from nasos.errors import Error
from nasos.ledger import Outcome
from nasos.stack import clock
from nasos.stack.clock import Moment
from nasos.stack.housekeeping import ballast, forecast, rotate
from nasos.stack.housekeeping.duties import Duties, Log
from nasos.stack.housekeeping.forecast import Sample
from nasos.stack.housekeeping.rotate import Tell, acting_as
from nasos.stack.housekeeping.state import State, Trouble

Record = Callable[[str, Outcome, dict[str, str]], None]
"""Writes an event: target, outcome, detail; raises ``Error`` when it cannot."""

SAMPLE_HOURS: Final = 1.0


class Rounds:
    """The program's memory between two rounds."""

    def __init__(self, duties: Duties, state: State, tell: Tell, record: Record, say: Callable[[str], None]) -> None:
        self.state = state
        self._duties = duties
        self._tell, self._record, self._say = tell, record, say
        self._waiting: list[tuple[str, Outcome, dict[str, str]]] = []
        self._owners = {log.path.parent: log.owner for log in duties.logs}

    def round(self, moment: Moment) -> None:
        """Everything once."""
        now = datetime.fromtimestamp(moment.wall, UTC)
        self._pass_time(moment)
        troubles: list[Trouble] = []
        for room in self._rooms():
            self._guarded(str(room.path), troubles, partial(self._mind, room, now))
        full = {room.device for room in self._rooms() if str(room.path) in self.state.full}
        for log in self._duties.logs:
            self._guarded(str(log.path), troubles, partial(self._tend, log, now, full))
        for trouble in troubles:
            if trouble not in self.state.troubles:
                self._say(f"{trouble.what}: {trouble.message}")
        self.state.troubles = troubles
        self._sample()
        self._tell_events()

    def _pass_time(self, moment: Moment) -> None:
        state = self.state
        gone = clock.passed(state.moment, moment)
        state.hours += gone / 3600
        if jump := clock.jump(state.moment, moment):
            self._say(f"the clock jumped by {jump:+.0f} s: no log is removed by age for a day")
            state.quiet_seconds, state.jump = 0.0, jump
        else:
            state.quiet_seconds += gone
        if state.quiet_seconds >= clock.QUIET_SECONDS:
            state.jump = 0.0
        state.moment = moment

    def _guarded(self, what: str, troubles: list[Trouble], work: Callable[[], None]) -> None:
        try:
            work()
        except Error as error:
            troubles.append(Trouble(what=what, message=error.message))
        except OSError as error:
            troubles.append(Trouble(what=what, message=(error.strerror or type(error).__name__).lower()))

    def _rooms(self) -> list[Room]:
        return disk.distinct([*self._duties.disks, *self._duties.watched])

    def _mind(self, room: Room, now: datetime) -> None:
        """Give the ballast up, or take it; say when a disk becomes full, and when it has room again."""
        path, wanted = room.path / ballast.NAME, self._duties.ballast_bytes if room.path in self._duties.disks else 0
        with acting_as(self._owners.get(room.path)):
            held = ballast.held(path) if wanted else 0
            if ballast.given_up(room, held, wanted):
                ballast.give_up(path)
            elif ballast.wanted(room, held, wanted) and ballast.take(path, wanted):
                held = wanted
        name, full = str(room.path), room.read_only or room.free < disk.low(self._duties.ballast_bytes)
        free, since = str(room.free), self.state.full.get(name)
        if full and since is None:
            self.state.full[name] = now.isoformat(timespec="seconds")
            reason = "read-only" if room.read_only else "full"
            self._event(name, Outcome.FAILED, {"disk": reason, "free": free, "ballast given up": str(held)})
        # Over when the ballast is held again, not in the moment after it was given up.
        elif since is not None and not full and held >= wanted:
            del self.state.full[name]
            self._event(name, Outcome.OK, {"disk": "has room again", "free": free, "full since": since})

    def _tend(self, log: Log, now: datetime, full: set[int]) -> None:
        # A disk that is full gets room from logs that are still plain: they shrink to a thirtieth.
        needed = log.path.parent.is_dir() and log.path.parent.stat().st_dev in full
        above = min(self._duties.rotate_bytes, disk.MB) if needed else self._duties.rotate_bytes
        turn = rotate.rotate(log, above, now, self._tell)
        if turn.aside:
            name = str(log.path)
            self.state.archived[name] = self.state.archived.get(name, 0) + sum(each.size for each in turn.aside)
            self._say(f"put aside {', '.join(each.name for each in turn.aside)}")
        for path in rotate.retain(log, now if self.state.quiet_seconds >= clock.QUIET_SECONDS else None):
            self._say(f"removed {path}: beyond what is kept")

    def _sample(self) -> None:
        sizes = {log: rotate.size(log.path) for log in self._duties.logs if log.path.parent.is_dir()}
        audit = [log for log in sizes if log.writer == "vault"]
        written = sum(self.state.archived.get(str(log.path), 0) + sizes[log] for log in audit)
        for room in self._rooms():
            history = self.state.samples.setdefault(str(room.path), [])
            if history and self.state.hours - history[-1].hours < SAMPLE_HOURS:
                continue
            growing = sum(each for log, each in sizes.items() if log.path.parent.stat().st_dev == room.device)
            free = room.free + ballast.held(room.path / ballast.NAME) + growing
            self.state.samples[str(room.path)] = forecast.kept(
                [*history, Sample(hours=self.state.hours, room=free, written=written)]
            )

    def _event(self, target: str, outcome: Outcome, detail: dict[str, str]) -> None:
        self._say(f"{target}: {detail['disk']} ({int(detail['free']) >> 20} MB free)")
        self._waiting.append((target, outcome, detail))

    def _tell_events(self) -> None:
        while self._waiting:
            try:
                self._record(*self._waiting[0])
            except Error:
                return
            del self._waiting[0]
