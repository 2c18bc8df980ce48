"""Room on the file systems that we write to.

Rules: what an ordinary program can still write counts, not what is reserved for root. Full is said before the last byte
is gone: Vault answers every request with 500 once it cannot write its audit log, and its health address still says 200.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

MB: Final = 1 << 20
ROOM_HINT: Final = (
    "make room (df -h shows the disks), or mount it writable (findmnt -O ro), then nasos status; "
    "nothing that was acknowledged is lost"
)


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One file system, as a user who is not root finds it."""

    path: Path
    device: int
    total: int
    free: int
    read_only: bool


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


def low(ballast_bytes: int = 0) -> int:
    """Below this a disk counts as full: a quarter of what is held back for that moment, 16 MB where nothing is."""
    return ballast_bytes // 4 or 16 * MB


def fullness(paths: Sequence[Path], below: int = MB) -> str | None:
    """What is wrong with the first disk that nothing can be written to; None while all have room."""
    for room in distinct(paths):
        if room.read_only:
            return f"the file system of {room.path} is read-only"
        if room.free < below:
            return f"the disk of {room.path} is full ({room.free >> 10} kB left)"
    return None
