"""When somebody is to be told that a key grows old or ends. No IO.

Rules: the nearer the date, the more often: at 30, 14, 7, 3 and 1 days before it, then every day until it is done. Told
once per step: what was told is remembered by whoever asks. A key that was never probed has its age only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

BEFORE: Final = (30, 14, 7, 3, 1)
"""Days before the date."""


@dataclass(frozen=True, slots=True)
class Due:
    """When a key has to be replaced, and why then."""

    at: datetime
    reason: str
    """``age`` (the operator's limit) or ``expiry`` (the exchange's)."""


def due(since: datetime, days: int, expires: datetime | None) -> Due:
    """The earlier one of the operator's limit and the exchange's."""
    by_age = Due(since + timedelta(days=days), "age")
    return Due(expires, "expiry") if expires and expires < by_age.at else by_age


def step(at: datetime, now: datetime) -> int | None:
    """Which reminder is to be out by now; None before the first.

    The days of `BEFORE` while it is ahead, 0 on the day itself, -1, -2, ... for each day after it.
    """
    left = at - now
    if left <= timedelta(0):
        return -(-left // timedelta(days=1))
    return min((days for days in BEFORE if left <= timedelta(days=days)), default=None)


def news(at: datetime, now: datetime, told: int | None) -> int | None:
    """The reminder to give now, when ``told`` was the last one given for this date; None when there is none."""
    found = step(at, now)
    if found is None or (told is not None and told <= found):
        return None
    return found
