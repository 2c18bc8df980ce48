"""Space held back for the moment when a disk is full.

Rules: the blocks are really taken, not only promised (a sparse file would be worth nothing); it is given up at once and
taken again only when twice as much is free, so that it never flaps; a half-taken one is given up. It says nothing
and holds nothing: zeros.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from nasos.disk import Room, low
from nasos.files import PRIVATE

NAME: Final = "ballast"


def held(path: Path) -> int:
    """Bytes that are taken on the disk."""
    try:
        return path.lstat().st_blocks * 512
    except FileNotFoundError:
        return 0


def wanted(room: Room, held_bytes: int, ballast_bytes: int) -> bool:
    """Whether it should be taken now: there is none yet, and much more than that is free."""
    roomy = room.free + held_bytes > 2 * ballast_bytes + low(ballast_bytes)
    return bool(ballast_bytes) and held_bytes < ballast_bytes and not room.read_only and roomy


def given_up(room: Room, held_bytes: int, ballast_bytes: int) -> bool:
    """Whether it has to go now: the disk counts as full, or nothing should be held back any more."""
    return bool(held_bytes) and not room.read_only and (room.free < low(ballast_bytes) or not ballast_bytes)


def take(path: Path, size: int) -> bool:
    """Take ``size`` bytes; False when the disk has not so many after all."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
        try:
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        give_up(path)
        return False
    return True


def give_up(path: Path) -> None:
    """Give the space back."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
