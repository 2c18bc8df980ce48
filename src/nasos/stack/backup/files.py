"""Which files of the state directory and the checkout a backup holds, and how they come back.

Rules:

* Everything in the state directory is in, also what a later nasos puts there, except what is named here: servers' data
  (they have parts of their own), what is made anew at each start, caches, logs, and the two things that must not lie
  beside the data: recovery key and unseal key. SecretIDs are made anew, so their files stay out as well.
* The bot's directory belongs to a process that runs strangers' code: no link is followed, nothing but regular files is
  read, and what was left out is said.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from nasos.errors import FileRefused
from nasos.files import PRIVATE, PRIVATE_DIR
from nasos.stack.backup.archive import PIECE
from nasos.stack.backup.manifest import PROJECT, STATE, Part
from nasos.tls import SERVICES

CONFIGURATION: Final = ("nasos.toml", ".env")
"""The operator's own files beside the checkout, or where he works."""

_LEFT_OUT: Final = {
    # have parts of their own
    "vault", "postgres",
    # made anew at each start, or of this machine only
    "nginx", "gateway", "app.env", "credentials", "up.lock", "ballast", "backup.json",
    # logs
    "audit", "log",
    # must not lie beside the data
    "recovery.json", "unseal.key",
    *(f"tls/{service.program}.{suffix}" for service in SERVICES for suffix in ("pem", "key")),
}  # fmt: skip

_OF_RUN: Final = ("run/bot/events", "run/gateway/events", "run/companion/events")
"""All that is kept of ``run/``: the ledgers of services with a user of their own."""

_CACHES: Final = frozenset({"data", "logs", "plot"})
"""Directories of ``user_data`` that freqtrade downloads or writes anew."""


def collect(home: Path, places: Sequence[Path], target: Path) -> tuple[list[Part], list[str]]:
    """Copy what belongs into a backup below ``target``; return it, and the names of what could not be taken.

    Raises:
        FileRefused: A file cannot be read, or the disk is full.
    """
    parts: list[Part] = []
    left: list[str] = []
    for name, source, directory in _state(home, left):
        parts.append(_copied(source, directory, f"{STATE}/{name}", target))
    for name in CONFIGURATION:
        found = next((place / name for place in places if (place / name).is_file()), None)
        if found:
            directory = os.open(found.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                parts.append(_copied(found.name, directory, f"{PROJECT}/{name}", target))
            finally:
                os.close(directory)
    return parts, left


def _state(home: Path, left: list[str]) -> Iterator[tuple[str, str, int]]:
    """Name below the state directory, file name and descriptor of its directory; everything by descriptor."""
    for top, directories, names, descriptor in os.fwalk(home, follow_symlinks=False):
        below = Path(top).relative_to(home)
        directories[:] = sorted(name for name in directories if _wanted_directory(below / name))
        with _still(Path(top)) if str(below) == "ledger" else contextlib.nullcontext():
            for name in sorted(name for name in names if _wanted(below / name)):
                regular = stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
                if regular and _is_text(str(below / name)):
                    yield str(below / name), name, descriptor
                else:
                    left.append(ascii(str(below / name))[1:-1])


@contextlib.contextmanager
def _still(ledger: Path) -> Iterator[None]:
    """No part of the ledger is closed while its files are copied: they are one chain."""
    with (ledger / "events.jsonl").open("ab") as growing:
        fcntl.flock(growing, fcntl.LOCK_SH)
        yield


def _wanted_directory(path: Path) -> bool:
    name = str(path)
    if path.parts[0] == "run":
        return name in ("run", "run/bot", "run/gateway", "run/companion")
    caches = path.parts[0] == "bot" and len(path.parts) == 4 and path.parts[2] == "user_data" and path.name in _CACHES
    return name not in _LEFT_OUT and path.name != "__pycache__" and not caches


def _wanted(path: Path) -> bool:
    name = str(path)
    if path.parts[0] == "run":
        return name.startswith(_OF_RUN)
    return name not in _LEFT_OUT and not path.name.endswith((".tmp", ".lock"))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _copied(name: str, directory: int, part: str, target: Path) -> Part:
    copy = target / part
    copy.parent.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        with os.fdopen(fd, "rb") as source, copy.open("xb") as sink:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise FileRefused(f"{part} changed into something else while it was read", "run it again")
            shutil.copyfileobj(source, sink, PIECE)
    except OSError as error:
        raise FileRefused(
            f"cannot take {part} into the backup: {(error.strerror or '').lower()}", f"df -h {target}"
        ) from None
    return described(copy, part, stat.S_IMODE(mode) & 0o777)


def described(path: Path, name: str, mode: int = PRIVATE) -> Part:
    """A finished part: size and digest of ``path``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(name=name, size=path.stat().st_size, sha256=digest, mode=mode)


def put_back(parts: Path, listed: Sequence[Part], home: Path, uid: Callable[[str], int | None]) -> None:
    """Move the state's files from ``parts`` into a state directory whose directories stand already.

    ``uid`` tells that of a service's files, where it is not our own.
    """
    for part in listed:
        tree, _, name = part.name.partition("/")
        if tree != STATE:
            continue
        target = home / name
        service = next(
            (each for each in ("bot", "gateway", "companion") if name.startswith((f"{each}/", f"run/{each}/"))), None
        )
        owner = uid(service) if service else None
        for directory in reversed(target.relative_to(home).parents):
            path = home / directory
            if not path.is_dir():
                path.mkdir(mode=PRIVATE_DIR)
                if owner is not None:
                    os.chown(path, owner, -1)
        (parts / part.name).replace(target)
        target.chmod(part.mode)
        if owner is not None:
            os.chown(target, owner, -1)


def differing(parts: Path, listed: Sequence[Part], places: Mapping[str, Path]) -> dict[str, Path]:
    """The operator's own files that stand here already and are not those of the backup."""
    return {
        name: path
        for name, path in places.items()
        if any(part.name == f"{PROJECT}/{name}" for part in listed)
        and path.is_file()
        and path.read_bytes() != (parts / PROJECT / name).read_bytes()
    }
