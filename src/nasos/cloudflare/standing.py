"""How the companion stands, in ``state.json`` of its directory: for ``nasos status`` and a container's health check.

Rules: names, counts and dates, no secret; replaced whole after every round. A state that was not written for a while
proves nothing, measured by the time since boot, which nobody sets. A label that cannot be followed is said and makes
nobody unwell: its container is the one to mend.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import ProgramFailed
from nasos.files import atomic_write

NAME: Final = "state.json"
STALE_SECONDS: Final = 300.0
"""Five rounds; one that waits for Cloudflare waits less."""
LOOSE: Final = "it is not confined: this kernel has no Landlock"
_LARGEST: Final = 1 << 20


def running() -> float:
    """Seconds since boot, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Of the newest round."""

    feed: str
    """Where containers are looked for."""
    written: float
    """Seconds since boot."""
    looked: datetime | None = None
    """When all zones were last as they should be, or as near as they get."""
    zones: tuple[str, ...] = ()
    wanted: int = 0
    """Records that labels ask for."""
    waiting: int = 0
    """Records that go when their grace is over."""
    trouble: tuple[str, ...] = ()
    """Labels that cannot be followed, names that others have, records that Cloudflare refuses."""
    error: str = ""
    """Why the last round could not be finished."""
    hint: str | None = None
    confined: int | None = None
    """Landlock's ABI, 0: the kernel has none; None: it was not to be confined."""
    calls: int = 0
    """Requests to Cloudflare since the program started."""


def write(directory: Path, standing: Standing) -> None:
    """Put it down.

    Raises:
        FileRefused: There is no room.
    """
    atomic_write(directory / NAME, msgspec.json.encode(standing))


def proven(directory: Path, *, strict: bool = False) -> str:
    """Evidence that the companion does its work; ``strict``: and that it is confined, where it was to be.

    Raises:
        ProgramFailed: It does not, or is not.
        OSError: Its state cannot be read.
    """
    try:
        with (directory / NAME).open("rb") as file:
            known = msgspec.json.decode(file.read(_LARGEST), type=Standing)
    except (FileNotFoundError, msgspec.MsgspecError):
        raise ProgramFailed("it has not looked yet") from None
    age = running() - known.written
    if not 0 <= age <= STALE_SECONDS:
        raise ProgramFailed("its last look was long ago, or before this boot", "./nasos restart companion")
    if known.error:
        raise ProgramFailed(known.error, known.hint)
    waiting = f", {known.waiting} to be removed" if known.waiting else ""
    trouble = f"; {'; '.join(known.trouble[:3])}" if known.trouble else ""
    loose = f"; {LOOSE}" if known.confined == 0 else ""
    if loose and strict:
        raise ProgramFailed(LOOSE, "a kernel from 5.13 on, with landlock in lsm=")
    return f"{known.wanted} records wanted in {', '.join(known.zones)}{waiting}{trouble}{loose}"
