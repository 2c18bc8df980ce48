"""Put a log aside, wait until its writer let go of it, compress it.

Rules:

* Rename and tell the writer; never copy and truncate (19 of 6,098 lines of an audit log were lost that way, measured).
* The fresh file is made before the old one is moved: where there is no room for a name, nothing is moved at all.
* Only what nobody has open for writing is compressed. The kernel says so: a read lease on a file is refused while
  somebody can write to it (fcntl(2), F_SETLEASE). Where a file system knows no leases, the writer must have been told,
  and the file must have rested.
* What is done stands in the directory itself, so any step may be killed: the next round goes on from the names.
* A service's directory is worked on as that service: a link that it put there leads to nothing that it cannot reach.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from nasos.compress import compress
from nasos.errors import StackError
from nasos.files import PRIVATE, fsync_directory
from nasos.stack.housekeeping import archives
from nasos.stack.housekeeping.archives import Archive
from nasos.stack.housekeeping.duties import Log
from nasos.stack.users import Owner

Tell = Callable[[str, int], None]
"""Sends a program a signal."""

REST_SECONDS: Final = 60.0
"""How long a file must have rested where there are no leases: a thousand times what a reopening takes."""

_ROLLED: Final = (3, 2, 1)
"""What supervisord rolled over by itself, the oldest first; it renames, and minds nobody who renames after it."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What was put aside."""

    name: str
    size: int
    """Bytes, before it was compressed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one round did for one log."""

    aside: tuple[Aside, ...] = ()
    waits: bool = False
    """Whether its writer did not let go yet."""


@contextlib.contextmanager
def acting_as(owner: Owner | None) -> Iterator[None]:
    """Touch files as this user, in this process (it has one thread)."""
    if owner is None or os.geteuid() == owner.uid:
        yield
        return
    user, group = os.geteuid(), os.getegid()
    os.setegid(owner.gid)
    try:
        os.seteuid(owner.uid)
        try:
            yield
        finally:
            os.seteuid(user)
    finally:
        os.setegid(group)


def rotate(log: Log, above: int, now: datetime, tell: Tell) -> Turn:
    """One round for one log.

    Raises:
        FileRefused: No room to compress; everything stands as it was.
        StackError: The writer cannot be told.
        OSError: The directory cannot be used.
    """
    with acting_as(log.owner):
        if not log.path.parent.is_dir():
            return Turn()
        _clear(log)
        aside = _collect_rolled(log, now)
        waits = _compress_settled(log)
        # One at a time: a writer that does not let go must not get a new file each round.
        if (log.writer or log.reopened) and not waits and size(log.path) > above:
            aside = [_put_aside(log, now)]
            waits = True
    if waits:
        if log.writer:
            tell(log.writer, log.signal)
        with acting_as(log.owner):
            waits = _compress_soon(log)
    return Turn(tuple(aside), waits)


def known(log: Log) -> list[Archive]:
    """What was put aside of this log, the oldest first."""
    try:
        return archives.of(os.listdir(log.path.parent), log.path.name)  # noqa: PTH208  names are what is asked for
    except FileNotFoundError:
        return []


def retain(log: Log, now: datetime | None) -> list[Path]:
    """Remove what is beyond the log's bounds, the oldest first; return what went."""
    with acting_as(log.owner):
        found = known(log)
        sizes = {each.name: size(log.path.with_name(each.name)) for each in found}
        gone = archives.expired(found, sizes, log.keep_bytes, timedelta(days=log.keep_days), now)
        paths = [log.path.with_name(each.name) for each in reversed(gone)]
        for path in paths:
            path.unlink(missing_ok=True)
        return paths


def _clear(log: Log) -> None:
    for path in log.path.parent.iterdir():
        if archives.is_leftover(path.name, log.path.name):
            path.unlink(missing_ok=True)


def _collect_rolled(log: Log, now: datetime) -> list[Aside]:
    collected: list[Aside] = []
    for number in _ROLLED if not log.writer else ():
        rolled = log.path.with_name(f"{log.path.name}.{number}")
        aside = archives.following(known(log), log.path.name, now)
        with contextlib.suppress(FileNotFoundError):  # its writer renamed it in this moment: next round
            rolled.rename(log.path.with_name(aside))
            collected.append(Aside(aside, size(log.path.with_name(aside))))
    return collected


def _put_aside(log: Log, now: datetime) -> Aside:
    fresh = log.path.with_name(archives.new_name(log.path.name))
    aside = log.path.with_name(archives.following(known(log), log.path.name, now))
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE))
    log.path.rename(aside)
    fresh.rename(log.path)
    fsync_directory(log.path.parent)
    return Aside(aside.name, size(aside))


def _compress_soon(log: Log) -> bool:
    """A program that was told needs some milliseconds; look again a few times, then in the next round."""
    for pause in (0.01, 0.05, 0.2):
        time.sleep(pause)
        if not _compress_settled(log):
            return False
    return True


def _compress_settled(log: Log) -> bool:
    """Compress what is closed; return whether something is still open."""
    waits = False
    for each in archives.unfinished(known(log)):
        path = log.path.with_name(each.name)
        if settled(path):
            compress(path)
        else:
            waits = True
    return waits


def settled(path: Path) -> bool:
    """Whether nobody can write to this file any more.

    Raises:
        StackError: It is no regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StackError(f"{path} is no file", f"ls -ld {path}")
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in (errno.EINVAL, errno.ENOLCK, errno.ENOTSUP):
            raise StackError(f"{path} cannot be looked at: {(error.strerror or '').lower()}", f"ls -l {path}") from None
        return time.time() - max(os.fstat(fd).st_mtime, os.fstat(fd).st_ctime) > REST_SECONDS
    finally:
        os.close(fd)
    return True


def size(path: Path) -> int:
    """Bytes; 0 for what is not there."""
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
