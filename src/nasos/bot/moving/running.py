"""Is the old bot still at work? What is seen is told; what cannot be looked at does not count as "no".

Rules: whoever has the database open (``/proc/*/fd``) or locked (``/proc/locks``, which shows processes of other users
and containers too: freqtrade keeps SQLite in WAL mode, and each open connection holds a lock on its ``-shm`` file) is
at work; so is whoever answers as freqtrade at the API's address. A process that only looks like this bot by its command
line counts as well, until the operator says that it is another one.
"""

from __future__ import annotations

import http.client
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
_COMPANIONS: Final = ("", "-wal", "-shm", "-journal")
_PATIENCE: Final = 3.0  # seconds for an answer on loopback; a busy bot needs a few hundred milliseconds


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was seen."""

    text: str
    certain: bool = True
    """False when only names match."""


def signs(
    database: Path | None, configs: Collection[Path], api: tuple[str, int] | None, proc: Path = PROC
) -> Iterator[Sign]:
    """What speaks for a running bot; nothing means that nothing was seen."""
    inodes = set(_inodes(database)) if database else set()
    if inodes:
        yield from _locks(inodes, proc)
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(process.name) != os.getpid():
            yield from _process(process, inodes, {*configs, *([database] if database else [])})
    if api and _answers(*api):
        yield Sign(f"freqtrade answers at {api[0]}:{api[1]}")


def _inodes(database: Path) -> Iterator[tuple[int, int]]:
    for suffix in _COMPANIONS:
        try:
            status = Path(f"{database}{suffix}").stat()
        except OSError:
            continue
        yield status.st_dev, status.st_ino


def _locks(inodes: set[tuple[int, int]], proc: Path) -> Iterator[Sign]:
    """proc_locks(5): ``1: POSIX ADVISORY READ 4711 fe:01:1234 128 128``; pid 0 is one of another container."""
    try:
        lines = (proc / "locks").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.replace("-> ", "").split()
        major, minor, inode = words[5].split(":") if len(words) > 5 else ("", "", "")
        if (
            inode
            and (os.makedev(int(major, 16), int(minor, 16)), int(inode)) in inodes
            and words[4] != str(os.getpid())
        ):
            yield Sign(f"process {words[4]} holds a lock on the database")


def _process(process: Path, inodes: set[tuple[int, int]], files: Collection[Path]) -> Iterator[Sign]:
    words = _words(process)
    if any(_is(fd, inodes) for fd in _descriptors(process) if inodes):
        yield Sign(f"process {process.name} ({_name(words)}) has the database open")
    elif _is_freqtrade(words) and any(_names(word, file, process) for word in words for file in files):
        yield Sign(f"process {process.name} looks like this bot: {_name(words)}", certain=False)


def _descriptors(process: Path) -> list[Path]:
    """Empty for what ended, and for what is another user's: its locks and its command line still tell."""
    try:
        return list((process / "fd").iterdir())
    except OSError:
        return []


def _is(descriptor: Path, inodes: set[tuple[int, int]]) -> bool:
    try:
        status = descriptor.stat()
    except OSError:
        return False  # closed in between
    return (status.st_dev, status.st_ino) in inodes


def _words(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _name(words: Collection[str]) -> str:
    """Program and subcommand: the rest of a command line may hold a ``--db-url`` with a password."""
    known = [Path(word).name for word in words if Path(word).name in ("freqtrade", "trade", "webserver", "python3")]
    return " ".join(known) or Path(next(iter(words), "")).name


def _is_freqtrade(words: Collection[str]) -> bool:
    return any("freqtrade" in Path(word).name or word == "nasos.bot.entry" for word in words) and bool(
        {"trade", "webserver"}.intersection(words)
    )


def _names(word: str, file: Path, process: Path) -> bool:
    """Whether an argument names ``file``; seen from outside of a container, by the end of the path."""
    path = word.partition("=")[2] if word.startswith("--") else word
    if not path or Path(path).name != file.name:
        return False
    try:
        return ((process / "cwd").resolve(strict=True) / path).resolve() == file.resolve()
    except OSError:
        return Path(path).parts[-2:] == file.resolve().parts[-2:] or len(Path(path).parts) == 1


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1" if host in ("0.0.0.0", "::") else host, port, timeout=_PATIENCE)  # noqa: S104  to compare with
    try:
        connection.request("GET", "/api/v1/ping")
        return b'"pong"' in connection.getresponse().read(1000)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
