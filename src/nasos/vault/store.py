"""What a store of secrets is: records, versions and the contract that `KvStore` and `MemoryStore` share.

One contract suite (``tests/contract``) runs on both, and hvac reads what lands in a real server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from nasos.secret import Secret

KEPT_VERSIONS: Final = 10
"""Versions that KV v2 keeps of a secret unless its metadata says otherwise."""


@dataclass(frozen=True, slots=True)
class Record:
    """One version of a secret."""

    path: str
    fields: Mapping[str, Secret]
    version: int
    created: datetime
    """When this version was written, by the server's clock."""
    custom: Mapping[str, str]
    """Custom metadata of the path: labels for people, not secret."""


@dataclass(frozen=True, slots=True)
class Version:
    """What is known of one version without reading it."""

    number: int
    created: datetime
    deleted: datetime | None
    """Since when, or from when on, it cannot be read; it can be brought back unless destroyed."""
    destroyed: bool
    """Its value is gone for good."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is known of a path."""

    current: int
    """The newest version's number; 0 before the first."""
    created: datetime
    updated: datetime
    custom: Mapping[str, str]
    versions: tuple[Version, ...]
    """Oldest first; older ones than these are pruned."""


class SecretStore(Protocol):
    """Versioned secrets by path."""

    def read(self, path: str, version: int | None = None) -> Record:
        """A version, by default the newest.

        Raises:
            SecretNotFound: Nothing was ever written there, or not that version.
            SecretDeleted: The version exists but is deleted or destroyed.
        """

    def write(self, path: str, fields: Mapping[str, str | Secret], cas: int | None = None) -> int:
        """Write a new version with exactly these fields; return its number.

        ``cas`` is the number that the newest version must have (0: none was ever written).

        Raises:
            CheckAndSetMismatch: It has another.
            TooLarge: The fields do not fit into one entry of the server's storage.
        """

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """Names directly under a folder, sorted; folders end in ``/``. Empty when there is no such folder."""

    def history(self, path: str) -> tuple[Version, ...]:
        """All versions that are kept, oldest first.

        Raises:
            SecretNotFound: The path is unknown.
        """

    def delete(self, path: str, versions: Sequence[int] | None = None) -> None:
        """Make versions unreadable (None: the newest) until `undelete`; unknown ones are nothing to do."""

    def undelete(self, path: str, versions: Sequence[int]) -> None:
        """Bring deleted versions back; destroyed ones stay gone."""

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """Remove the values of versions for good."""

    def forget(self, path: str) -> None:
        """Remove a path with all its versions; an unknown one is nothing to do. The next write is version 1."""

    def metadata(self, path: str) -> Metadata:
        """What is known of a path.

        Raises:
            SecretNotFound: The path is unknown.
        """

    def set_metadata(self, path: str, custom: Mapping[str, str]) -> None:
        """Replace the custom metadata."""
