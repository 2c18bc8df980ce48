"""Making a backup of a running stack.

Rules: parts are gathered in a private directory of the state directory (``run/backup``), which is emptied before and
after, so that a killed run leaves nothing for longer than until the next one. Vault comes first: what changes between
its snapshot and PostgreSQL's, the restore mends from Vault's side. The file appears when it is whole and synced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos import __version__
from nasos.errors import BackupRefused, FileRefused, StackError, UsageError
from nasos.files import PRIVATE, ExclusiveLock, atomic_write, fsync_directory, private_directory, read_private
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.stack import postgres
from nasos.stack.backup import archive, database, files
from nasos.stack.backup.encryption import Passphrase, Recipients, Sink
from nasos.stack.backup.manifest import SNAPSHOT, WAY_BACK, Manifest, Part
from nasos.stack.backup.newest import Newest
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import keys
from nasos.vault import snapshot, system
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi
from nasos.vault.retry import PATIENT
from nasos.vault.roles import LOOPBACK

SNAPSHOT_SECONDS: Final = 120.0
"""Without a byte of the snapshot."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A finished backup."""

    manifest: Manifest
    size: int
    """Bytes of the encrypted file."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted."""

    to: Passphrase | Recipients
    places: Sequence[Path]
    """Where nasos.toml and .env may stand."""
    file: Path | None
    """Where it goes; None: to ``stream``."""
    force: bool = False
    """Replace a file that is there."""


def save(stack: Stack, wanted: Request, stream: Sink | None, *, now: datetime) -> Saved:
    """Make a backup.

    Raises:
        UsageError: The file is there already.
        StackError: The stack does not run.
        Error: A part could not be had; no file appeared.
    """
    if wanted.file and not wanted.force and os.path.lexists(wanted.file):
        raise UsageError(f"{wanted.file} is there already", "another name, or --force to replace it")
    if not stack.supervisor.running():
        raise StackError("a backup is made of a running stack, and this one is not running", "./nasos up")
    room = private_directory(stack.home.run("backup"))
    with ExclusiveLock(room / "lock", "nasos backup"), _empty(room / "parts") as parts:
        manifest = _gathered(stack, parts, wanted.places, now)
        if wanted.file:
            size = to_file(wanted.file, manifest, parts, wanted.to, force=wanted.force)
        else:
            counted = _Counted(stream)
            archive.write(counted, manifest, parts, wanted.to)
            size = counted.size
        newest = Newest(created=now, file=str(wanted.file or "-"), size=size)
        atomic_write(stack.home.root / "backup.json", msgspec.json.encode(newest) + b"\n")
    return Saved(manifest, size)


@contextlib.contextmanager
def _empty(parts: Path) -> Iterator[Path]:
    def clear() -> None:
        if parts.exists():
            shutil.rmtree(parts)

    clear()
    try:
        yield private_directory(parts)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise FileRefused(f"the backup could not be written: {reason}", f"df -h {parts.parent}") from None
    finally:
        clear()


def _gathered(stack: Stack, parts: Path, places: Sequence[Path], now: datetime) -> Manifest:
    found = _vault_parts(stack, parts)
    with stack.vault("rotator") as vault:
        found += database.dump(stack.database, postgres.admin_login(vault), parts)
    state, left = files.collect(stack.home.root, places, parts)
    api = VaultApi(stack.vault_address, stack.ca_file)
    manifest = Manifest(
        nasos=__version__,
        created=now,
        host=socket.gethostname(),
        record=stack.record,
        seal=stack.settings.vault.seal,
        bot=stack.settings.bot.name,
        vault=system.health(api).version,
        postgres=(stack.database.data / "PG_VERSION").read_text().strip(),
        parts=(*found, *state),
        left_out=tuple(left),
    )
    api.close()
    key = unseal_key(stack)
    return manifest.signed(key) if key else manifest


def unseal_key(stack: Stack) -> bytes | None:
    """The key of the static seal; None where people unseal.

    Raises:
        FileRefused: It cannot be read.
        StackError: It is gone, or being replaced.
    """
    held = keys(stack)
    if held is None:
        return None
    if held.previous is not None:
        raise StackError("the unseal key is being replaced; data may be under either", "nasos vault seal-key rotate")
    return read_private(held.current, owner=stack.home.users.uid("vault"))


def _vault_parts(stack: Stack, parts: Path) -> list[Part]:
    api = VaultApi(stack.vault_address, stack.ca_file, timeout=SNAPSHOT_SECONDS)
    private_directory(parts / Path(SNAPSHOT).parent)
    with contextlib.closing(api), _login(stack, api, "operator") as operator, _login(stack, api, "backup") as token:
        with snapshot.way_back(api, operator, LOOPBACK) as credential:
            snapshot.save(api, token, parts / SNAPSHOT)
        atomic_write(parts / WAY_BACK, _encoded(credential))
    return [files.described(parts / name, name) for name in (SNAPSHOT, WAY_BACK)]


@contextlib.contextmanager
def _login(stack: Stack, api: VaultApi, role: str) -> Iterator[Secret]:
    file = stack.home.credentials / f"{role}.json"
    token = PATIENT.call(AppRoleLogin(api, AppRole(role_id="", secret_id_file=file)).obtain).token
    try:
        yield token
    finally:
        with contextlib.suppress(Exception):  # it ends by itself within the hour
            api.request("POST", "auth/token/revoke-self", {}, token=token)


def _encoded(credential: AppRole) -> bytes:
    secret_id = credential.secret_id.reveal() if credential.secret_id else ""
    return msgspec.json.encode({"role_id": credential.role_id, "secret_id": secret_id})


def to_file(path: Path, manifest: Manifest, parts: Path, to: Passphrase | Recipients, *, force: bool) -> int:
    """The backup under its name, whole, synced, and replacing nothing unasked; how large it is.

    Raises:
        UsageError: The name is taken.
        FileRefused: It could not be written; what stood there before still does.
    """
    # One name per file and stack: what a killed run left is written over, not added to.
    temporary = path.with_name(f".{path.name}.{manifest.record.id}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
        with os.fdopen(fd, "wb") as file:
            archive.write(file, manifest, parts, to)
            file.flush()
            os.fsync(fd)
            size = os.fstat(fd).st_size
        _publish(temporary, path, force=force)
        fsync_directory(path.parent)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise FileRefused(f"cannot write {path}: {reason}", f"df -h {path.parent}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return size


def _publish(temporary: Path, path: Path, *, force: bool) -> None:
    if force:
        temporary.replace(path)
        return
    try:
        os.link(temporary, path)  # unlike a rename, this fails when the name is taken by now
    except FileExistsError:
        raise BackupRefused(f"{path} appeared meanwhile", "another name, or --force to replace it") from None
    except OSError:
        temporary.rename(path)  # a file system without hard links


class _Counted:
    """A stream that knows how much went through it."""

    def __init__(self, stream: Sink | None) -> None:
        if stream is None:
            raise UsageError("a backup needs a file or a stream")
        self._stream, self.size = stream, 0

    def write(self, data: bytes, /) -> int:
        """Pass it on."""
        self._stream.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Pass it on."""
        self._stream.flush()
