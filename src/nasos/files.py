"""Every byte on disk goes through here.

Invariants:

* A file appears whole or not at all: same-directory temporary file, mode before content, fsync of file and
  directory, rename (certmagic ``atomicfile``, PostgreSQL fsync lessons).
* Secret files are refused when another user could read or replace them; the hint is the ``chmod`` line.
* What need not be on disk goes to a memfd: no path, no backup, gone with the process.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from nasos.errors import AlreadyRunning, FileRefused

PRIVATE: Final = 0o600
PRIVATE_DIR: Final = 0o700
DISK: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a disk says that is full, over its quota, read-only or broken."""


def atomic_write(path: Path, content: bytes, mode: int = PRIVATE, owner: int | None = None) -> None:
    """Replace ``path`` by ``content``; after a crash either the old or the new file stands there.

    ``owner`` is a uid for files of a service that runs as its own user; only root may give it.

    Raises:
        FileRefused: The directory is missing, the disk is full or read-only, or the path cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        # O_EXCL and the mode at creation: at no instant is the content readable by others.
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)
            if owner is not None:
                os.fchown(fd, owner, -1)
            _write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise refused(path, error) from None
    fsync_directory(path.parent)


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def fsync_directory(path: Path) -> None:
    """Make renames and new names in ``path`` durable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise refused(path, error) from None


def refused(path: Path, error: OSError) -> FileRefused:
    """The error of ours for a write to ``path`` that failed."""
    reason = (error.strerror or "unknown reason").lower()
    return FileRefused(f"cannot write {path}: {reason}", hint_for(path, error))


def hint_for(path: Path, error: OSError) -> str | None:
    """What to type when writing ``path`` failed like this."""
    hints = {
        errno.ENOSPC: f'free some space on the disk of {path.parent}, "df -h {path.parent}" shows it',
        errno.EDQUOT: f'the quota of this user is used up; free some space in {path.parent}, "quota" shows it',
        errno.EROFS: f'"findmnt -T {existing(path)}" shows the mount; make it writable, or choose another NASOS_HOME',
        errno.EACCES: f'"ls -ld {path.parent}" shows who may write there',
        errno.ENOENT: f'"mkdir -p {path.parent}" if that directory should exist',
        errno.EIO: f'the disk of {path.parent} fails: "dmesg | tail" shows it; copy what is there to another one',
    }
    return hints.get(error.errno or 0)


def existing(path: Path) -> Path:
    """The nearest directory above ``path`` that is there."""
    return next((each for each in path.parents if each.is_dir()), Path("/"))


def private_directory(path: Path, owner: int | None = None, mode: int = PRIVATE_DIR) -> Path:
    """Create ``path`` (and parents) if missing and make it the owner's alone; return it.

    Raises:
        FileRefused: It exists as something else, belongs to another user, or cannot be made.
    """
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        # By descriptor: run as root, the parent may be a service's, which could swap a link in between look and chown.
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _make_private(fd, path, owner, mode)
        finally:
            os.close(fd)
    except OSError as error:
        raise refused(path, error) from None
    return path


def _make_private(fd: int, path: Path, owner: int | None, mode: int) -> None:
    status, opened = os.fstat(fd), f"/proc/self/fd/{fd}"
    if not stat.S_ISDIR(status.st_mode):
        raise FileRefused(f"{path} is not a directory", f'"ls -ld {path}" shows what it is')
    if owner is not None and status.st_uid != owner:
        os.chown(opened, owner, -1)
    elif owner is None and status.st_uid != os.geteuid():
        raise FileRefused(
            f"{path} belongs to uid {status.st_uid}, not to you (uid {os.geteuid()})", f"chown {os.geteuid()} {path}"
        )
    if stat.S_IMODE(status.st_mode) != mode:
        os.chmod(opened, mode)  # noqa: PTH101  the descriptor's own name, not a path


def open_regular(path: Path) -> int:
    """A descriptor of a regular file that somebody else may have put there: no link is followed, no pipe waited for.

    Raises:
        OSError: It is missing, or something else.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file")
    return fd


def read_private(path: Path, limit: int = 1 << 20, owner: int | None = None) -> bytes:
    """The content of a secret file (at most ``limit`` bytes), if no other user could read or replace it.

    ``owner`` is the uid of the service whose file it is, accepted besides the caller's own and root's.

    Raises:
        FileRefused: Missing, not a regular file, too large, owned by another user,
            or readable by group or others. Checked on the open file, so it cannot be swapped in between.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise FileRefused(f"{path} does not exist") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    return private_content(fd, path, limit, owner)


def private_content(fd: int, path: Path, limit: int = 1 << 20, owner: int | None = None) -> bytes:
    """The same of a file that is open already; ``fd`` is closed.

    Raises:
        FileRefused: As `read_private`.
    """
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise FileRefused(f"{path} is not a regular file", f'"ls -l {path}" shows what it is')
    with os.fdopen(fd, "rb") as file:
        if status.st_uid not in (os.geteuid(), 0, owner):
            raise FileRefused(f"{path} belongs to uid {status.st_uid}", f"chown {os.geteuid()} {path}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise FileRefused(f"{path} can be read by other users", f"chmod 600 {path}")
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(content) > limit:
        raise FileRefused(f"{path} is larger than {limit} bytes")
    return content


def _unreadable(path: Path, error: OSError) -> FileRefused:
    hint = hint_for(path, error) if error.errno == errno.EIO else f'"ls -l {path}" shows it'
    return FileRefused(f"cannot read {path}: {(error.strerror or 'unknown reason').lower()}", hint)


def anonymous_file(name: str, content: bytes, mode: int = 0o400, owner: int | None = None) -> int:
    """A memfd with ``content``: a file descriptor that the caller owns; no path, no disk.

    The descriptor is close-on-exec; hand it on with ``pass_fds``.

    Raises:
        FileRefused: There is no memory for it, or the owner cannot be given.
    """
    fd = -1
    try:
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(fd, mode)
        if owner is not None:
            os.fchown(fd, owner, -1)
        _write_all(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        reason = (error.strerror or "unknown reason").lower()
        raise FileRefused(f"cannot keep {name} in memory: {reason}", '"free -m" shows what memory is left') from None
    return fd


@contextlib.contextmanager
def locked_directory(path: Path) -> Iterator[None]:
    """Wait for, then hold, the ``flock`` on a directory: for work of milliseconds on several of its files.

    Not reentrant: a second lock on the same directory inside the block waits for ever.

    Raises:
        FileRefused: The directory is missing or not ours to open.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise refused(path, error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class ExclusiveLock:
    """A ``flock`` on ``path``, held until the block ends or the process dies.

    Raises:
        AlreadyRunning: On entry, when another process holds it; names that process's pid where it is known.
    """

    def __init__(self, path: Path, doing: str) -> None:
        self._path = path
        self._doing = doing
        self._fd: int | None = None

    def __enter__(self) -> Self:
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        except OSError as error:
            raise refused(self._path, error) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise AlreadyRunning(
                f"{self._doing} is already under way" + (f" (pid {holder})" if holder else ""),
                "wait for it to finish, then run the command again",
            ) from None
        with contextlib.suppress(OSError):  # a full disk costs the pid in the message, not the lock
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """The process's umask for the length of a block (not thread-safe: call from the main thread)."""
    old = os.umask(mask)
    try:
        yield
    finally:
        os.umask(old)
