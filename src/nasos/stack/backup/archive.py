"""The backup file: a tar of the manifest and the parts in its order, zstd, age.

Rules: it appears under its name whole or not at all, 0600, and replaces nothing unasked. Reading believes nothing
that is not in the manifest: names, order, sizes and digests must be exactly those, and the file must end where it
should; what was unpacked counts only when all of it was read.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from nasos.compress import library as zstd
from nasos.errors import BackupRefused, Error
from nasos.files import PRIVATE, PRIVATE_DIR
from nasos.stack.backup.encryption import Identities, Passphrase, Recipients, Sink, decrypt, encrypt
from nasos.stack.backup.manifest import LARGEST, NAME, Manifest, Part, decode

if TYPE_CHECKING:
    from types import ModuleType

PIECE: Final = 1 << 18
"""Bytes handled at a time."""

_BLOCK: Final = tarfile.BLOCKSIZE


def write(target: Sink, manifest: Manifest, parts: Path, to: Passphrase | Recipients) -> None:
    """The whole archive to ``target``; ``parts`` is the directory that holds them by name.

    Raises:
        BackupRefused: Too large for a passphrase.
    """
    encrypt(_Compressed(_tar(manifest, parts)), target, to)


def _tar(manifest: Manifest, parts: Path) -> Iterator[bytes]:
    content = manifest.encode()
    yield from _member(NAME, len(content), iter((content,)))
    for part in manifest.parts:
        yield from _member(part.name, part.size, _pieces(parts / part.name))
    yield bytes(2 * _BLOCK)


def _member(name: str, size: int, content: Iterator[bytes]) -> Iterator[bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, PRIVATE
    yield entry.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
    yield from content
    yield bytes(-size % _BLOCK)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


class _Compressed:
    """zstd of the pieces, pulled by whoever reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = self._packed(pieces)
        self._ready = b""

    def _packed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        packer = zstd().ZstdCompressor()
        for piece in pieces:
            yield packer.compress(piece)
        yield packer.flush()

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, as many as there are; none at the end."""
        collected = [self._ready]
        have = len(self._ready)
        while size < 0 or have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            collected.append(piece)
            have += len(piece)
        whole = b"".join(collected)
        end = len(whole) if size < 0 else size
        self._ready = whole[end:]
        return whole[:end]


Accept = Callable[[Manifest], None]
"""Looks at the manifest before anything is unpacked; raises what speaks against it."""


def read(path: Path, by: Passphrase | Identities, accept: Accept, directory: Path | None) -> Manifest:
    """Check every byte of a backup; unpack the parts below ``directory``, if one is given.

    Raises:
        BackupRefused: Wrong key, damaged, cut off, or no backup of ours.
        Error: What ``accept`` raised.
    """
    ours, theirs = os.pipe()
    failed: list[BaseException] = []
    worker = threading.Thread(target=_decrypted, args=(path, theirs, by, failed), daemon=True)
    worker.start()
    problem: BaseException | None = None
    manifest = None
    with os.fdopen(ours, "rb") as plain:
        try:
            manifest = _unpacked(plain, accept, directory)
        except (Error, OSError) as error:
            problem = error
    worker.join()
    # What could not be decrypted shows up as a damaged tar, too: the cause is the better word.
    if failed and not isinstance(failed[0], BrokenPipeError):
        raise failed[0]
    if problem or manifest is None:
        raise problem or BackupRefused("the backup is damaged")
    return manifest


def _decrypted(path: Path, pipe: int, by: Passphrase | Identities, failed: list[BaseException]) -> None:
    try:
        with os.fdopen(pipe, "wb") as target, path.open("rb") as source:
            decrypt(source, target, by)
    except BaseException as error:  # noqa: BLE001  told by the thread that waits for this one
        failed.append(error)


def _unpacked(plain: IO[bytes], accept: Accept, directory: Path | None) -> Manifest:
    library: ModuleType = zstd()
    try:
        with library.ZstdFile(plain) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            manifest = _manifest(tar)
            accept(manifest)
            for part in manifest.parts:
                _taken(_next(tar, part.name, part.size), part, directory)
            if tar.next() is not None:
                raise BackupRefused("the backup holds more than its manifest says")
            while unpacked.read(PIECE):
                pass
        while plain.read(PIECE):
            pass
    except (tarfile.TarError, EOFError, library.ZstdError, UnicodeError):
        raise BackupRefused("the backup is damaged: it cannot be unpacked", "take another copy of the file") from None
    return manifest


def _manifest(tar: tarfile.TarFile) -> Manifest:
    entry = tar.next()
    content = tar.extractfile(entry) if entry and entry.name == NAME and entry.size <= LARGEST else None
    if content is None:
        raise BackupRefused("this is no backup of nasos: it has no manifest", "give the file that nasos backup made")
    return decode(content.read())


def _next(tar: tarfile.TarFile, name: str, size: int) -> IO[bytes]:
    entry = tar.next()
    content = tar.extractfile(entry) if entry and entry.isreg() and (entry.name, entry.size) == (name, size) else None
    if content is None:
        raise BackupRefused(f"the backup is damaged: {name} is not where its manifest says")
    return content


def _taken(content: IO[bytes], part: Part, directory: Path | None) -> None:
    digest = hashlib.sha256()
    file: IO[bytes] | None = None
    if directory is not None:
        target = directory / part.name
        target.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.fdopen(os.open(target, flags, PRIVATE), "wb")
    try:
        while piece := content.read(PIECE):
            digest.update(piece)
            if file:
                file.write(piece)
    finally:
        if file:
            file.close()
    if digest.hexdigest() != part.sha256:
        raise BackupRefused(f"the backup is damaged: {part.name} has another SHA-256 than its manifest says")
