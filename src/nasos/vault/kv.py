"""KV version 2, on a `Session`: the store that Vault is.

Rules: every path is checked before it becomes part of a URL. A 404 is told apart by what comes with it: a version's
metadata says "deleted", nothing says "never there", and "no handler" says that the engine is not mounted.
Limits (OpenBao 2.7.2, raft, measured): one version holds fields of up to 1,048,576 bytes minus about 220, as JSON;
``max_entry_size`` in the server's storage stanza raises it; a request of more than 32 MiB is not read at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from nasos.errors import SecretDeleted, SecretNotFound, VaultRefused
from nasos.secret import Secret
from nasos.vault.client import Answer
from nasos.vault.names import custom_metadata, field_values, folder_path, secret_path
from nasos.vault.retry import PATIENT, Retry
from nasos.vault.session import Session
from nasos.vault.store import Metadata, Record, Version

MOUNT: Final = "kv"

T = TypeVar("T")


class _Facts(msgspec.Struct, frozen=True):
    """A version's own metadata. Kept as text first: "" stands for no time."""

    created_time: str
    deletion_time: str
    destroyed: bool
    version: int = 0
    custom_metadata: dict[str, str] | None = None


class _Version(msgspec.Struct, frozen=True):
    data: dict[str, object] | None
    metadata: _Facts


class _Path(msgspec.Struct, frozen=True):
    current_version: int
    created_time: str
    updated_time: str
    versions: dict[str, _Facts]
    custom_metadata: dict[str, str] | None = None


class _Keys(msgspec.Struct, frozen=True):
    keys: tuple[str, ...]


class KvStore:
    """A `SecretStore` on KV v2."""

    def __init__(self, session: Session, mount: str = MOUNT, retry: Retry = PATIENT) -> None:
        self._session = session
        self._mount = mount
        self._retry = retry

    def read(self, path: str, version: int | None = None) -> Record:
        """See `SecretStore.read`."""
        query = "" if version is None else f"?version={int(version)}"
        answer = self._exchange("GET", "data", path, query=query)
        if answer.status == 404 and isinstance(answer.body.get("data"), dict):
            gone = _read(answer, _Version).metadata
            what = "destroyed" if gone.destroyed else "deleted"
            hint = None if gone.destroyed else f"nasos secret restore {path.removeprefix('nasos/')}"
            raise SecretDeleted(f"version {gone.version} of {path} is {what}", hint)
        found = _read(_yes(answer, path), _Version)
        facts = found.metadata
        fields = {name: Secret(_text(value)) for name, value in (found.data or {}).items()}
        custom = MappingProxyType(facts.custom_metadata or {})
        return Record(path, MappingProxyType(fields), facts.version, _moment(facts.created_time), custom)

    def write(self, path: str, fields: Mapping[str, str | Secret], cas: int | None = None) -> int:
        """See `SecretStore.write`."""
        body: dict[str, object] = {"data": field_values(fields)}
        if cas is not None:
            body["options"] = {"cas": cas}
        return _read(_yes(self._exchange("POST", "data", path, body), path), _Facts).version

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """See `SecretStore.list`."""
        folder = folder_path(prefix)
        target = f"{self._mount}/metadata/{folder}/" if folder else f"{self._mount}/metadata/"
        answer = self._session.exchange("LIST", target, retry=self._retry)
        if answer.status == 404 and not answer.errors:
            return ()
        return tuple(sorted(_read(_yes(answer, prefix), _Keys).keys))

    def history(self, path: str) -> tuple[Version, ...]:
        """See `SecretStore.history`."""
        return self.metadata(path).versions

    def delete(self, path: str, versions: Sequence[int] | None = None) -> None:
        """See `SecretStore.delete`."""
        if versions is None:
            _yes(self._exchange("DELETE", "data", path), path)
        else:
            self._versions("delete", path, versions)

    def undelete(self, path: str, versions: Sequence[int]) -> None:
        """See `SecretStore.undelete`."""
        self._versions("undelete", path, versions)

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """See `SecretStore.destroy`."""
        self._versions("destroy", path, versions)

    def forget(self, path: str) -> None:
        """See `SecretStore.forget`."""
        _yes(self._exchange("DELETE", "metadata", path), path)

    def metadata(self, path: str) -> Metadata:
        """See `SecretStore.metadata`."""
        found = _read(_yes(self._exchange("GET", "metadata", path), path), _Path)
        versions = sorted((int(number), facts) for number, facts in found.versions.items())
        return Metadata(
            current=found.current_version,
            created=_moment(found.created_time),
            updated=_moment(found.updated_time),
            custom=found.custom_metadata or {},
            versions=tuple(
                Version(
                    number,
                    _moment(facts.created_time),
                    _moment(facts.deletion_time) if facts.deletion_time else None,
                    facts.destroyed,
                )
                for number, facts in versions
            ),
        )

    def set_metadata(self, path: str, custom: Mapping[str, str]) -> None:
        """See `SecretStore.set_metadata`."""
        _yes(self._exchange("POST", "metadata", path, {"custom_metadata": custom_metadata(custom)}), path)

    def _versions(self, verb: str, path: str, versions: Sequence[int]) -> None:
        if versions:  # the server refuses an empty list
            _yes(self._exchange("POST", verb, path, {"versions": list(versions)}), path)

    def _exchange(
        self, method: str, part: str, path: str, body: Mapping[str, object] | None = None, query: str = ""
    ) -> Answer:
        target = f"{self._mount}/{part}/{secret_path(path)}{query}"
        return self._session.exchange(method, target, body, retry=self._retry)


def _yes(answer: Answer, path: str) -> Answer:
    if answer.ok:
        return answer
    error = answer.refusal()
    if isinstance(error, SecretNotFound):
        raise SecretNotFound(f"nothing is stored at {path}", "nasos secret list")
    raise error


def _read(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.convert(answer.body.get("data"), kind)
    except msgspec.ValidationError:
        raise VaultRefused(
            f"the answer to {answer.method} {answer.path} is not that of a KV version 2 engine",
            "nasos vault bootstrap --plan",
        ) from None


def _text(value: object) -> str:
    """Others may store numbers and objects; here every field is a string."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _moment(text: str) -> datetime:
    # Nanoseconds in the answer; datetime holds microseconds and msgspec rounds down.
    return msgspec.convert(text, datetime).astimezone(UTC)
