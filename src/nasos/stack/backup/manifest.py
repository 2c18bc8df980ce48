"""What is inside a backup, and the proof that it belongs to an unseal key.

Rules: the manifest is the first thing in the file, so that what does not fit is refused before anything is unpacked;
every part has its size and SHA-256. An age recipient's key is public: anybody can encrypt to it. So the manifest is
signed by a key derived from the stack's unseal key, which is not in the backup: a forged backup and a wrong unseal
key are told at once, and neither reaches a server.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

import msgspec

from nasos.errors import BackupRefused
from nasos.stack.home import Record

FORMAT: Final = 1
NAME: Final = "manifest.json"
LARGEST: Final = 64 << 20
"""Bytes of a manifest; a line per file of the bot's directory, 150 bytes each."""

SNAPSHOT: Final = "vault/snapshot"
WAY_BACK: Final = "vault/way-back.json"
ROLES: Final = "postgres/roles.sql"
DATABASES: Final = "postgres/databases"
STATE: Final = "state"
PROJECT: Final = "project"

_CONTEXT: Final = b"nasos backup manifest 1"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file inside."""

    name: str
    """Path inside the archive, with ``/``."""
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o777)] = 0o600

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts or str(path) != self.name or "\0" in self.name or not path.name:
            raise ValueError(f"{self.name!r} cannot be the name of a part")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The table of contents."""

    format: int = FORMAT
    nasos: str
    """Version that made it."""
    created: datetime
    host: str
    record: Record
    """Stack id and ports."""
    seal: Literal["static", "shamir"]
    bot: str
    vault: str
    """Version of the Vault server."""
    postgres: str
    parts: tuple[Part, ...]
    left_out: tuple[str, ...] = ()
    """Links, sockets and the like in the bot's directory."""
    signature: str = ""
    """HMAC-SHA256 by the unseal key; empty where people unseal (Shamir)."""

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def encode(self) -> bytes:
        """The JSON text."""
        return msgspec.json.encode(self)

    def signed(self, unseal_key: bytes) -> Manifest:
        """The same with the signature of this stack's key."""
        return msgspec.structs.replace(self, signature=_signature(self, unseal_key))

    def require_key(self, unseal_key: bytes) -> None:
        """Refuse a key that did not sign this.

        Raises:
            BackupRefused: It is another stack's key, or the backup is a forgery.
        """
        if not hmac.compare_digest(self.signature, _signature(self, unseal_key)):
            raise BackupRefused(
                f"this unseal key does not belong to the backup of stack {self.record.id}",
                "give the unseal.key that this stack had at that time: --unseal-key FILE",
            )


def _signature(manifest: Manifest, unseal_key: bytes) -> str:
    plain = msgspec.structs.replace(manifest, signature="").encode()
    key = hmac.digest(unseal_key, _CONTEXT, hashlib.sha256)
    return hmac.digest(key, plain, hashlib.sha256).hex()


class _Format(msgspec.Struct):
    format: int


def decode(content: bytes) -> Manifest:
    """The manifest of a backup.

    Raises:
        BackupRefused: It is none, or of a newer kind.
    """
    try:
        number = msgspec.json.decode(content, type=_Format).format
        if number > FORMAT:
            raise BackupRefused(
                f"this backup has format {number}; this nasos reads formats up to {FORMAT}", "use a newer nasos"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BackupRefused(f"this is no backup of nasos: {error}", "give the file that nasos backup made") from None
    names = [part.name for part in manifest.parts]
    if len(set(names)) != len(names) or not {SNAPSHOT, WAY_BACK, ROLES, f"{STATE}/stack.json"} <= set(names):
        raise BackupRefused("this is no backup of nasos: parts are missing or double")
    return manifest
