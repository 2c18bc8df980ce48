"""How the room on a disk shrinks, and how many days that leaves. Pure.

Rules: logs that are still growing and the
ballast come back as room by themselves, so they are counted as room: what is left shrinks only by what stays. No
answer is given from less than a few hours: could-not-tell is said, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

LEAST_HOURS: Final = 6.0
"""Of measuring before days are told."""
WINDOW_HOURS: Final = 7 * 24.0
ENDLESS_DAYS: Final = 3650.0


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
