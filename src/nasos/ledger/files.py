"""The files of one ledger, in order: closed parts, then the one that grows.

Rules: ``events.jsonl`` grows; at its limit it is closed as ``events-<number of its last event>.jsonl`` and a new one
continues the chain. The newest closed part stays plain, because the first event of the next one follows its last line;
older ones are compressed, at the next closing. All of this under the ``flock`` of the growing file; who waited for the
lock looks whether that file still is the growing one. Nothing is ever deleted.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from nasos.errors import FileRefused, LedgerError, PlatformUnsupported
from nasos.files import fsync_directory, hint_for, open_regular
from nasos.ledger.damage import Line

LIMIT: Final = 8 << 20
"""Bytes of the growing file: some 25,000 events, 1.2 MB when compressed."""

LOCK_SECONDS: Final = 10.0
"""How long a reader waits for an appender; one event takes milliseconds, a closing a tenth of a second."""

_CHUNK: Final = 1 << 18


def parts(path: Path) -> list[Path]:
    """The closed parts, oldest first; of one that stands there plain and compressed (a kill in between), the plain."""
    pattern = re.compile(rf"{re.escape(path.stem)}-(\d{{12,}})(?:-(\d+))?{re.escape(path.suffix)}(\.zst)?")
    found: dict[tuple[int, int], Path] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in path.parent.iterdir():
            match = pattern.fullmatch(entry.name)
            if match:
                place = (int(match[1]), int(match[2] or 0))
                found[place] = min(found.get(place, entry), entry)  # the plain name is the shorter one
    return [found[place] for place in sorted(found)]


@contextlib.contextmanager
def locked(path: Path, flags: int, lock: int) -> Iterator[int]:
    """The growing file, open and locked.

    Raises:
        OSError: It cannot be opened.
    """
    while True:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, lock)
            if _is_at(fd, path):
                yield fd
                return
        finally:
            os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def close_part(fd: int, path: Path, seq: int) -> None:
    """Give the growing file, whose last event is ``seq``, its closed name; the caller holds its lock.

    Raises:
        OSError: It could not be renamed; it still grows.
    """
    os.fsync(fd)
    name, more = f"{path.stem}-{seq:012d}", 0
    while any((path.parent / f"{name}{path.suffix}{end}").exists() for end in ("", ".zst")):
        more += 1  # only after somebody cut the ledger: nothing is written over
        name = f"{path.stem}-{seq:012d}-{more}"
    path.rename(path.with_name(name + path.suffix))
    # From here on it is closed, whatever fails: the next closing syncs and compresses too.
    with contextlib.suppress(FileRefused, PlatformUnsupported, OSError):
        fsync_directory(path.parent)
        _compress_older(path)


def _compress_older(path: Path) -> None:
    from nasos.compress import compress

    for part in parts(path)[:-1]:
        if part.suffix == path.suffix:
            compress(part)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All files of a ledger as they were at one moment; may be read more than once."""

    path: Path
    closed: tuple[tuple[Path, IO[bytes] | None], ...]
    """Plain parts are held open: they may be compressed meanwhile. Compressed ones do not change."""
    growing: IO[bytes] | None
    size: int

    def lines(self) -> Iterator[Line]:
        """Every line of every file, in order.

        Raises:
            FileRefused: A compressed part is damaged.
            OSError: Something cannot be read.
        """
        from nasos.compress import opened

        for path, file in self.closed:
            if file is None:
                with opened(path) as packed:
                    yield from _lines(path, packed)
            else:
                file.seek(0)
                yield from _lines(path, file)
        if self.growing is not None:
            self.growing.seek(0)
            yield from _lines(self.path, self.growing, self.size)


@contextlib.contextmanager
def snapshot(path: Path) -> Iterator[Snapshot]:
    """The ledger as it is now; appending goes on meanwhile.

    Raises:
        LedgerError: A file of it cannot be opened.
    """
    with contextlib.ExitStack() as held:
        try:
            taken = _take(path, held)
        except OSError as error:
            raise unreadable(path, error) from None
        yield taken


def unreadable(path: Path, error: OSError) -> LedgerError:
    """The disk, or a mode, keeps it from us: no judgement of the ledger."""
    hint = hint_for(path, error) if error.errno == errno.EIO else f"ls -l {path.parent}"
    return LedgerError(f"cannot read the ledger {path}: {(error.strerror or '').lower()}", hint)


def _take(path: Path, held: contextlib.ExitStack) -> Snapshot:
    while True:
        try:
            with _shared(path) as fd:
                growing = held.enter_context(os.fdopen(os.dup(fd), "rb"))
                taken = Snapshot(path, _open_closed(path, held), growing, os.fstat(fd).st_size)
                fcntl.flock(fd, fcntl.LOCK_UN)  # the duplicate would hold it on
                return taken
        except FileNotFoundError:  # there is none, or it was closed just now
            before = parts(path)
            with contextlib.suppress(FileNotFoundError):  # compressed meanwhile
                closed = _open_closed(path, held)
                if not path.exists() and before == parts(path):
                    return Snapshot(path, closed, None, 0)


@contextlib.contextmanager
def _shared(path: Path) -> Iterator[int]:
    """The growing file, open and locked against closing, but not waited for: it may be another user's."""
    os.close(open_regular(path))
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            with locked(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, fcntl.LOCK_SH | fcntl.LOCK_NB) as fd:
                yield fd
                return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, "Somebody holds its lock") from None
            time.sleep(0.01)


def _open_closed(path: Path, held: contextlib.ExitStack) -> tuple[tuple[Path, IO[bytes] | None], ...]:
    plain = path.suffix
    return tuple(
        (part, held.enter_context(os.fdopen(open_regular(part), "rb")) if part.suffix == plain else None)
        for part in parts(path)
    )


def _lines(path: Path, file: IO[bytes], size: int | None = None) -> Iterator[Line]:
    number, rest, left = 0, b"", size
    while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
        left = None if left is None else left - len(chunk)
        *whole, rest = (rest + chunk).split(b"\n")
        for raw in whole:
            number += 1
            yield Line(path, number, raw, True)
    if rest:
        yield Line(path, number + 1, rest, False)
