"""What housekeeping has to say of itself and of the disks, for ``nasos status``.

Rules: a round of long ago proves nothing; full disks are looked at now, not remembered; could-not-tell is said.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos import disk
from nasos.disk import MB, Room
from nasos.errors import ProgramFailed
from nasos.stack import clock
from nasos.stack.housekeeping import ballast, forecast, state
from nasos.stack.housekeeping.forecast import Forecast
from nasos.stack.housekeeping.state import State

STALE_SECONDS: Final = 120.0
"""Twenty rounds."""


class DiskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One file system that the stack writes to."""

    path: str
    free_bytes: int
    read_only: bool
    ballast_bytes: int
    """Held back, comes on top of what is free."""
    days_left: float | None
    """None when it cannot be told, or when it does not fill up."""
    measured_hours: float
    """How long its growth was measured; under six hours nothing is told."""
    bytes_per_day: float | None
    audit_bytes_per_day: float | None

    @property
    def text(self) -> str:
        """For a person."""
        return f"{_amount(self.free_bytes)} free{' (read-only)' * self.read_only}; {self._growth()}"

    def _growth(self) -> str:
        if self.bytes_per_day is None:
            return f"days left: cannot be told before {forecast.LEAST_HOURS:.0f} h were measured"
        audit = f"audit {_amount(self.audit_bytes_per_day or 0)} a day"
        if self.days_left is None:
            return f"it does not fill up; {audit}"
        return f"{self.days_left:.0f} days left at {_amount(self.bytes_per_day)} a day; {audit}"


def proven(directory: Path) -> str:
    """Evidence that it does its work.

    Raises:
        ProgramFailed: It does not, or it cannot do all of it.
        OSError: Its state cannot be read.
    """
    known = state.read(directory)
    now = clock.read(datetime.now(UTC), clock.boot())
    if known is None:
        raise ProgramFailed("it has not finished a round yet")
    age = clock.passed(known.moment, now)
    if age > STALE_SECONDS:
        raise ProgramFailed(f"its last round was {age:.0f} s ago", "./nasos restart housekeeping")
    if known.troubles:
        first = known.troubles[0]
        raise ProgramFailed(f"{first.what}: {first.message}", "./nasos logs housekeeping")
    if known.full:
        raise ProgramFailed(
            f"no room since {min(known.full.values())}: {', '.join(known.full)}", f"df -h {min(known.full)}"
        )
    confined = "confined" if known.confined else "NOT confined: this kernel has no Landlock"
    return f"last round {age:.0f} s ago, {confined}"


def disks(own: Path, others: list[Path]) -> list[DiskStatus]:
    """Every file system once, as it is now and as it was measured."""
    known = state.read(own)
    return [_status(room, known) for room in disk.distinct([own, *others])]


def _status(room: Room, known: State | None) -> DiskStatus:
    samples = known.samples.get(str(room.path), []) if known else []
    held = ballast.held(room.path / ballast.NAME)
    seen = forecast.forecast(samples, room.free + held) if samples else Forecast(hours=0.0)
    return DiskStatus(
        path=str(room.path),
        free_bytes=room.free,
        read_only=room.read_only,
        ballast_bytes=held,
        days_left=seen.days,
        measured_hours=round(seen.hours, 1),
        bytes_per_day=seen.bytes_per_day,
        audit_bytes_per_day=seen.audit_per_day,
    )


def _amount(size: float) -> str:
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / MB:.1f} MB"
