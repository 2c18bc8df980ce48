"""The operator's files: kept, replaced, put back byte for byte.

Rules: the copy is on disk and proven before the original is touched; a file that is neither what it was nor what we
made of it was edited by somebody and is never overwritten; mode, owner and times come back with the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nasos.bot.moving.journal import Desk, Kept
from nasos.errors import BotError, FileRefused
from nasos.files import atomic_write, read_private


def digest(content: bytes) -> str:
    """SHA-256, as the journal has it."""
    return hashlib.sha256(content).hexdigest()


def obstacle(place: Path) -> FileRefused | None:
    """Why this file could not be replaced and put back; None when it could."""
    status = place.stat()
    if not stat.S_ISREG(status.st_mode):
        return FileRefused(f"{place} is not a regular file", f'"ls -l {place}" shows what it is')
    if os.statvfs(place.parent).f_flag & os.ST_RDONLY:
        return FileRefused(
            f"{place.parent} is on a read-only file system: the file there has to be replaced",
            f"findmnt -T {place.parent}",
        )
    if not os.access(place.parent, os.W_OK | os.X_OK):
        return FileRefused(
            f"{place.parent} cannot be written: the file there has to be replaced", f"ls -ld {place.parent}"
        )
    if status.st_uid != os.geteuid() != 0:
        return FileRefused(f"{place} belongs to uid {status.st_uid}, not to you", "run the import as its owner")
    return None


def keep(desk: Desk, number: int, place: Path, before: bytes, after: bytes) -> Kept:
    """Copy the original into the backup; its line for the journal."""
    with _touching(place):
        status = place.stat()
    kept = Kept(
        place=str(place),
        backup=f"{number}-{place.name}"[:120],
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        atime=status.st_atime_ns,
        mtime=status.st_mtime_ns,
        before=digest(before),
        after=digest(after),
    )
    atomic_write(desk.backup / kept.backup, before)
    return kept


def original(desk: Desk, kept: Kept) -> bytes:
    """The bytes of the backup.

    Raises:
        BotError: They are not what was kept.
    """
    content = read_private(desk.backup / kept.backup, limit=1 << 30)
    if digest(content) != kept.before:
        raise BotError(
            f"the backup {desk.backup / kept.backup} was changed", "nothing was overwritten; compare by hand"
        )
    return content


def replace(kept: Kept, after: bytes) -> bool:
    """Put ``after`` there; False when it is there already.

    Raises:
        BotError: Somebody edited the file in between.
        FileRefused: The disk or its permissions do not let us.
    """
    place = Path(kept.place)
    with _touching(place):
        found = digest(place.read_bytes())
    if found == kept.after:
        return False
    if found != kept.before:
        raise BotError(f"{place} was edited while it was being imported", "nasos bot import --undo, then begin again")
    atomic_write(place, after, kept.mode, owner=_owner(kept))
    with _touching(place):
        _group(place, kept)
    return True


def put_back(desk: Desk, kept: Kept) -> Path | None:
    """The original, byte for byte; an edited clean file is kept beside it, and its path returned.

    Raises:
        FileRefused: The disk or its permissions do not let us; the backup stays.
    """
    place, aside = Path(kept.place), None
    with _touching(place), contextlib.suppress(FileNotFoundError):
        current = place.read_bytes()
        if digest(current) not in (kept.before, kept.after):
            aside = place.with_name(f"{place.name}.after-import")
            atomic_write(aside, current, kept.mode)
    atomic_write(place, original(desk, kept), kept.mode, owner=_owner(kept))
    with _touching(place):
        _group(place, kept)
        os.utime(place, ns=(kept.atime, kept.mtime))
    return aside


@contextlib.contextmanager
def _touching(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileRefused(
            f"{place}: {(error.strerror or 'unknown reason').lower()}",
            "when that is mended the same command goes on; nasos bot import --undo goes back",
        ) from None


def _owner(kept: Kept) -> int | None:
    return kept.uid if os.geteuid() == 0 else None


def _group(place: Path, kept: Kept) -> None:
    if place.stat().st_gid != kept.gid:
        with contextlib.suppress(PermissionError):  # a group that we are no member of: the mode bits stay as they were
            os.chown(place, -1, kept.gid)
            place.chmod(kept.mode)
