"""Time that goes on while the machine's clock jumps. Pure, but for `read`.

Rules: what has passed is measured by the time since boot (it counts suspension, and nobody sets it); across boots the
wall clock is all there is, and it is believed in neither direction: backwards counts as nothing. A clock that jumped
deletes no log by age until a day has passed quietly, because a wrong year would delete all of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

JUMP_SECONDS: Final = 300.0
"""More than NTP slews in a day at its usual 500 ppm (RFC 5905: 43 s), less than any jump that matters to days."""
QUIET_SECONDS: Final = 86_400.0
LONGEST_GAP: Final = 30 * 86_400.0
"""Between two boots; more than that is a clock without a battery rather than a holiday."""


class Moment(msgspec.Struct, frozen=True):
    """One reading of all clocks."""

    wall: float
    """Seconds since 1970, as the machine believes."""
    running: float
    """Seconds since boot."""
    boot: str


def boot() -> str:
    """The name of this boot (asked before the sandbox closes /proc)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read(now: datetime, boot: str) -> Moment:
    """This moment."""
    return Moment(now.timestamp(), time.clock_gettime(time.CLOCK_BOOTTIME), boot)


def passed(before: Moment, now: Moment) -> float:
    """Seconds between two readings, never negative."""
    if before.boot == now.boot and now.running >= before.running:
        return now.running - before.running
    return min(max(0.0, now.wall - before.wall), LONGEST_GAP)


def jump(before: Moment, now: Moment) -> float:
    """By how many seconds the wall clock went another way than time did; 0 where it did not."""
    gone = now.wall - before.wall
    if before.boot == now.boot and now.running >= before.running:
        off = gone - (now.running - before.running)
        return off if abs(off) > JUMP_SECONDS else 0.0
    return gone if gone < -JUMP_SECONDS or gone > LONGEST_GAP else 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """The wall clock as it was when we started, gone on since without its jumps."""

    begun: Moment

    def at(self, now: Moment) -> float:
        """Seconds since 1970."""
        return self.begun.wall + passed(self.begun, now)
