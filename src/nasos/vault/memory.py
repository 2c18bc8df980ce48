"""The store without a server: the same contract as `KvStore`, in a dictionary.

For the tests of whatever stands on a `SecretStore`; the contract suite keeps it honest against a real OpenBao.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import msgspec

from nasos.errors import CheckAndSetMismatch, SecretDeleted, SecretNotFound, TooLarge
from nasos.secret import Secret
from nasos.vault.names import custom_metadata, field_values, folder_path, secret_path
from nasos.vault.store import KEPT_VERSIONS, Metadata, Record, Version

LARGEST_ENTRY: Final = 1 << 20  # bytes: raft's max_entry_size in Vault and OpenBao
_OVERHEAD: Final = 220  # bytes that the server adds to the fields (OpenBao 2.7.2: 219 for a path of 13 characters)


@dataclass(slots=True)
class _Kept:
    created: datetime
    updated: datetime
    current: int = 0
    custom: dict[str, str] = field(default_factory=dict)
    versions: dict[int, tuple[Version, Mapping[str, Secret]]] = field(default_factory=dict)


class MemoryStore:
    """A `SecretStore` in memory; safe for many threads."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._paths: dict[str, _Kept] = {}

    def read(self, path: str, version: int | None = None) -> Record:
        """See `SecretStore.read`."""
        with self._lock:
            kept = self._known(path)
            number = version or kept.current  # the server, too, takes version 0 for the newest
            if number not in kept.versions:
                raise SecretNotFound(f"nothing is stored at {path}", "nasos secret list")
            facts, fields = kept.versions[number]
            if facts.destroyed or facts.deleted:
                what = "destroyed" if facts.destroyed else "deleted"
                raise SecretDeleted(f"version {number} of {path} is {what}")
            return Record(
                path, MappingProxyType(dict(fields)), number, facts.created, MappingProxyType(dict(kept.custom))
            )

    def write(self, path: str, fields: Mapping[str, str | Secret], cas: int | None = None) -> int:
        """See `SecretStore.write`."""
        values = field_values(fields)
        plain = {name: value.reveal() for name, value in values.items()}
        if len(msgspec.json.encode(plain)) + _OVERHEAD > LARGEST_ENTRY:
            raise TooLarge(f"the value at {path} is larger than vault's storage accepts", "split the value")
        with self._lock:
            kept = self._paths.get(secret_path(path))
            current = kept.current if kept else 0
            if cas is not None and cas != current:
                raise CheckAndSetMismatch(f"somebody wrote {path} in between", "read it again")
            kept = kept or self._paths.setdefault(path, _Kept(self._now(), self._now()))
            kept.current, kept.updated = current + 1, self._now()
            kept.versions[kept.current] = (Version(kept.current, kept.updated, None, destroyed=False), values)
            for number in [number for number in kept.versions if number <= kept.current - KEPT_VERSIONS]:
                del kept.versions[number]
            return kept.current

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """See `SecretStore.list`."""
        folder = folder_path(prefix)
        start = f"{folder}/" if folder else ""
        with self._lock:
            rests = [path.removeprefix(start) for path in self._paths if path.startswith(start)]
        return tuple(sorted({head + slash for head, slash, _ in (rest.partition("/") for rest in rests)}))

    def history(self, path: str) -> tuple[Version, ...]:
        """See `SecretStore.history`."""
        return self.metadata(path).versions

    def delete(self, path: str, versions: Sequence[int] | None = None) -> None:
        """See `SecretStore.delete`."""
        kept = self._paths.get(secret_path(path))
        chosen = ([kept.current] if kept else []) if versions is None else versions
        self._change(path, chosen, lambda facts: facts if facts.deleted else replace(facts, deleted=self._now()))

    def undelete(self, path: str, versions: Sequence[int]) -> None:
        """See `SecretStore.undelete`."""
        self._change(path, versions, lambda facts: facts if facts.destroyed else replace(facts, deleted=None))

    def destroy(self, path: str, versions: Sequence[int]) -> None:
        """See `SecretStore.destroy`."""
        self._change(path, versions, lambda facts: replace(facts, destroyed=True))

    def forget(self, path: str) -> None:
        """See `SecretStore.forget`."""
        with self._lock:
            self._paths.pop(secret_path(path), None)

    def metadata(self, path: str) -> Metadata:
        """See `SecretStore.metadata`."""
        with self._lock:
            kept = self._known(path)
            versions = tuple(facts for facts, _ in kept.versions.values())
            return Metadata(kept.current, kept.created, kept.updated, dict(kept.custom), versions)

    def set_metadata(self, path: str, custom: Mapping[str, str]) -> None:
        """See `SecretStore.set_metadata`."""
        checked = custom_metadata(custom)
        with self._lock:
            kept = self._paths.setdefault(secret_path(path), _Kept(self._now(), self._now()))
            kept.custom, kept.updated = checked, self._now()

    def _known(self, path: str) -> _Kept:
        kept = self._paths.get(secret_path(path))
        if kept is None:
            raise SecretNotFound(f"nothing is stored at {path}", "nasos secret list")
        return kept

    def _change(self, path: str, numbers: Iterable[int], change: Callable[[Version], Version]) -> None:
        with self._lock:
            kept = self._paths.get(secret_path(path))
            for number in numbers if kept else ():
                if kept and number in kept.versions:
                    facts, fields = kept.versions[number]
                    changed = change(facts)
                    kept.versions[number] = (changed, {} if changed.destroyed else fields)
