"""Room on a file system, how it shrinks, and how many days that leaves.

Rules: what a program of ours can write to counts, not what root's reserve holds. Logs that are still growing and the
ballast come back as room by themselves, so they are counted as room: what is left shrinks only by what stays. No
answer is given from less than a few hours: could-not-tell is said, never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

MB: Final = 1 << 20
LEAST_HOURS: Final = 6.0
"""Of measuring before days are told."""
WINDOW_HOURS: Final = 7 * 24.0
ENDLESS_DAYS: Final = 3650.0


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One file system, as a user who is not root finds it."""

    path: Path
    device: int
    total: int
    free: int
    read_only: bool


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one moment."""

    hours: float
    """Since measuring began, by `clock.passed`."""
    room: int
    """Bytes free, with growing logs and ballast counted as free."""
    written: int
    """Bytes of audit log since measuring began."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the samples say."""

    hours: float
    """How long it was measured."""
    bytes_per_day: float | None = None
    """How the room shrinks; None when it cannot be told yet."""
    audit_per_day: float | None = None
    days: float | None = None
    """Until nothing is left; None when it cannot be told, or when nothing shrinks."""


def look(path: Path) -> Room:
    """The file system under ``path``.

    Raises:
        OSError: It cannot be asked.
    """
    seen = os.statvfs(path)
    return Room(
        path=path,
        device=path.stat().st_dev,
        total=seen.f_blocks * seen.f_frsize,
        free=seen.f_bavail * seen.f_frsize,
        read_only=bool(seen.f_flag & os.ST_RDONLY),
    )


def distinct(paths: Sequence[Path]) -> list[Room]:
    """One room per file system, in the order in which they are first met; what does not exist is left out."""
    rooms = (look(path) for path in paths if path.is_dir())
    return list({room.device: room for room in reversed(list(rooms))}.values())[::-1]


def low(ballast_bytes: int) -> int:
    """Below this a disk counts as full: a quarter of what is held back for that moment, 16 MB where nothing is."""
    return ballast_bytes // 4 or 16 * MB


def kept(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of the window, and never so many that they are a burden."""
    newest = samples[-1].hours if samples else 0.0
    return [each for each in samples if newest - each.hours <= WINDOW_HOURS][-int(WINDOW_HOURS) - 1 :]


def forecast(samples: Sequence[Sample], room: int) -> Forecast:
    """Days left for ``room`` bytes, by the slope of all samples (least squares)."""
    hours = samples[-1].hours - samples[0].hours if samples else 0.0
    if len(samples) < 3 or hours < LEAST_HOURS:
        return Forecast(hours=hours)
    shrinks = -24 * _slope([(each.hours, each.room) for each in samples])
    audit = 24 * (samples[-1].written - samples[0].written) / hours
    days = max(0.0, room / shrinks) if shrinks > 0 else None
    return Forecast(
        hours=hours,
        bytes_per_day=shrinks,
        audit_per_day=audit,
        days=None if days is None or days > ENDLESS_DAYS else days,
    )


def _slope(points: Sequence[tuple[float, float]]) -> float:
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
