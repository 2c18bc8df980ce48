"""The unseal key on no disk: a private file in memory, there from ``nasos up`` to ``nasos down`` or the next boot.

Rules: what is written there is on a tmpfs or ramfs, or it is not written. The supervisor starts a killed Vault from it,
so that nobody has to be asked again. Killed half-way there is no current key in it, and the next ``up`` asks.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from nasos.errors import StackError
from nasos.files import atomic_write, fsync_directory, private_directory
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import in_memory, next_key, on_disk
from nasos.stack.users import Users

_IN_MEMORY: Final = (0x01021994, 0x858458F6)
"""TMPFS_MAGIC and RAMFS_MAGIC, <linux/magic.h>."""


def require_memory(directory: Path) -> None:
    """Refuse a place from which the key could come to lie on a disk; the directory need not exist yet.

    Raises:
        StackError: It would be on a disk, or cannot be made.
    """
    # Not Path.is_dir(): it raises where a directory on the way is closed to us.
    place = next(path for path in (directory, *directory.parents) if os.path.isdir(path))  # noqa: PTH112
    hint = f"NASOS_RUNTIME_DIR=/dev/shm/nasos-{os.geteuid()} in .env, or any directory of yours on a tmpfs"
    if _kind(place) not in _IN_MEMORY:
        raise StackError(f"the unseal key may stand in memory only, and {directory} is on a disk", hint)
    if not os.access(place, os.W_OK):
        raise StackError(f"there is no place in memory for the unseal key: {directory} cannot be made", hint)


def _kind(place: Path) -> int:
    """``f_type`` of statfs(2): the structure's first word, whose upper half is empty where it is a long."""
    answer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(place), answer):
        return 0
    return int.from_bytes(answer.raw[:4], sys.byteorder)


def prepare(directory: Path, users: Users) -> None:
    """Make a directory for keys: in memory, and Vault's alone.

    Raises:
        StackError: It would be on a disk.
        FileRefused: It cannot be made, or is somebody else's.
    """
    require_memory(directory)
    if not directory.parent.is_dir():  # one that is there is the system's: as it is
        private_directory(directory.parent, mode=0o711 if users.separate else 0o700)
    private_directory(directory, users.uid("vault"))


def put(stack: Stack, current: bytes, successor: bytes | None = None) -> None:
    """Exactly these keys, readable by Vault alone.

    Raises:
        StackError: There is no place in memory.
        FileRefused: It cannot be written.
    """
    path, owner = in_memory(stack), stack.home.users.uid("vault")
    prepare(path.parent, stack.home.users)
    # The current one last: at no instant does an old key look like all there is.
    path.unlink(missing_ok=True)
    if successor is None:
        next_key(path).unlink(missing_ok=True)
    else:
        atomic_write(next_key(path), successor, owner=owner)
    atomic_write(path, current, owner=owner)


def forget_unused(stack: Stack) -> None:
    """Nothing stays where a file on the disk counts, which is what Vault's configuration says by now."""
    if on_disk(stack).exists():
        forget(stack)


def forget(stack: Stack) -> bool:
    """Nothing of it stays in memory; whether there was something."""
    path = in_memory(stack)
    there = path.exists()
    for each in (path, next_key(path), *path.parent.glob(f".{path.name}*.tmp")):
        each.unlink(missing_ok=True)
    if path.parent.is_dir():
        fsync_directory(path.parent)
    return there
