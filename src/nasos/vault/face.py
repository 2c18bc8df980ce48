"""``VaultClient``: what a program uses.

::

    vault = VaultClient()
    vault.store_secret("api_key", "my-secret-api-key")
    api_key = vault.get_secret("api_key")

Rules: ``get_secret`` gives ``str``, because callers hand it straight to other libraries; everything else gives
`Secret` fields. Reads of ``get_secret`` are cached (`cache.py`); ``read`` always asks Vault. Every write, and every
value served although Vault is away, is told to ``on_event``, whose shape is that of `Ledger.append`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Final, Self, TypeVar, overload
from weakref import WeakSet

from nasos.errors import (
    Error,
    OutcomeUnknown,
    PermissionDenied,
    SecretDeleted,
    SecretNotFound,
    SettingsError,
    UsageError,
    VaultError,
)
from nasos.ledger import Outcome
from nasos.secret import Secret
from nasos.settings import VaultConnection, connection_file, load
from nasos.vault.cache import MAX_STALE, ReadCache
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.names import custom_metadata, secret_path
from nasos.vault.retry import ONCE, PATIENT
from nasos.vault.session import Session
from nasos.vault.store import Metadata, Record, Version

VALUE: Final = "value"
"""The field that ``store_secret`` writes and ``get_secret`` reads."""

APP: Final = "nasos/app"
"""Where the user's own programs keep their secrets."""

OnEvent = Callable[[str, str, Outcome, Mapping[str, str]], object]

_LOG: Final = logging.getLogger(__name__)
_RAISE: Final = object()

D = TypeVar("D")


class VaultClient:
    """Secrets in Vault or OpenBao; safe for many threads.

    Args:
        connection: Where and as whom; None takes the environment, ``.env`` or the local stack.
        prefix: Folder under ``kv/`` that all names are relative to.
        on_event: Told of writes, of stale reads and of a login without a future; ``Ledger(...).append`` fits.
        max_stale: Seconds that ``get_secret`` may go on with the last value while Vault is away; 0 for never.

    Raises:
        SettingsError: Nothing says where Vault is, or as whom to log in.
    """

    def __init__(
        self,
        connection: VaultConnection | None = None,
        *,
        prefix: str = APP,
        on_event: OnEvent | None = None,
        max_stale: float = MAX_STALE,
    ) -> None:
        chosen = connection or _configured()
        if chosen.credential is None:
            raise SettingsError("no credential for vault is set", "set VAULT_ROLE_ID and VAULT_SECRET_ID_FILE in .env")
        self._prefix = secret_path(prefix)
        self._on_event = on_event
        api = VaultApi(chosen.address, chosen.ca_file, chosen.namespace, allow_plain=chosen.allow_plain)
        self.session = Session(api, chosen.credential, tell=self._credential)
        self._patient = KvStore(self.session, retry=PATIENT)
        self._once = KvStore(self.session, retry=ONCE)
        self._cache = ReadCache(self._fetch, self._stale, max_stale)
        self._recent = self._cache.entries
        _LIVING.add(self)

    def store_secret(self, key: str, value: str | Secret, description: str | None = None) -> int:
        """Store ``value`` under ``key``; return the new version's number.

        ``description`` is a line for people, kept readable in the secret's metadata: never a secret.
        """
        custom = custom_metadata({"description": description}) if description else None
        version = self.write(key, {VALUE: value})
        if custom:
            self.set_metadata(key, {**self.metadata(key).custom, **custom})
        return version

    @overload
    def get_secret(self, key: str) -> str: ...
    @overload
    def get_secret(self, key: str, default: D) -> str | D: ...
    def get_secret(self, key: str, default: object = _RAISE) -> object:
        """The value of ``key``; ``default``, if one is given, when there is none.

        Raises:
            SecretNotFound: Nothing is stored there and no default was given.
            SecretDeleted: It was deleted, and no default was given.
            VaultError: Vault refused, or is away and the last value is older than ``max_stale``.
        """
        entry = self._recent.get(key)  # `ReadCache.get`, unrolled: this line is the half million a second
        try:
            fresh = entry is not None and monotonic() < entry.fresh_until
            record = entry.record if fresh and entry is not None else self._cache.get(key)
        except (SecretNotFound, SecretDeleted):
            if default is _RAISE:
                raise
            return default
        try:
            return record.fields[VALUE].reveal()
        except KeyError:
            raise SecretNotFound(
                f"{record.path} has no field {VALUE}; it has {', '.join(sorted(record.fields))}",
                f'read("{key}") gives all fields',
            ) from None

    def read(self, key: str, version: int | None = None) -> Record:
        """A version of ``key``, by default the newest, as `Secret` fields; always asks Vault."""
        return self._patient.read(self._path(key), version)

    def write(self, key: str, fields: Mapping[str, str | Secret], cas: int | None = None) -> int:
        """Write a new version with exactly these fields; see `SecretStore.write`."""
        path = self._path(key)
        with self._told("secret.write", key, {"fields": " ".join(sorted(fields))}) as detail:
            version = self._patient.write(path, fields, cas)
            detail["version"] = str(version)
        return version

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """Names directly under a folder; folders end in ``/``."""
        return self._patient.list(f"{self._prefix}/{prefix}" if prefix else self._prefix)

    def history(self, key: str) -> tuple[Version, ...]:
        """All versions that are kept, oldest first."""
        return self._patient.history(self._path(key))

    def delete(self, key: str, versions: Sequence[int] | None = None) -> None:
        """Make versions unreadable (None: the newest) until `undelete`."""
        with self._told("secret.delete", key, {"how": "delete", "versions": _numbers(versions)}):
            self._patient.delete(self._path(key), versions)

    def undelete(self, key: str, versions: Sequence[int]) -> None:
        """Bring deleted versions back."""
        with self._told("secret.write", key, {"how": "undelete", "versions": _numbers(versions)}):
            self._patient.undelete(self._path(key), versions)

    def destroy(self, key: str, versions: Sequence[int]) -> None:
        """Remove the values of versions for good."""
        with self._told("secret.delete", key, {"how": "destroy", "versions": _numbers(versions)}):
            self._patient.destroy(self._path(key), versions)

    def forget(self, key: str) -> None:
        """Forget ``key``: every version and all that is known of it, for good."""
        with self._told("secret.delete", key, {"how": "forget", "versions": "all"}):
            self._patient.forget(self._path(key))

    def metadata(self, key: str) -> Metadata:
        """What is known of ``key`` without reading it."""
        return self._patient.metadata(self._path(key))

    def set_metadata(self, key: str, custom: Mapping[str, str]) -> None:
        """Replace the custom metadata of ``key``: labels for people, never a secret."""
        self._patient.set_metadata(self._path(key), custom)
        self._cache.drop(key)

    def close(self) -> None:
        """Revoke our token and close the connections; the client may be used again."""
        self._cache.clear()
        self.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"VaultClient({self.session.address!r}, prefix={self._prefix!r})"

    def _path(self, key: str) -> str:
        return secret_path(f"{self._prefix}/{key}")

    def _fetch(self, key: str, patient: bool) -> Record:  # noqa: FBT001  the cache's callback
        return (self._patient if patient else self._once).read(self._path(key))

    def _stale(self, key: str, age: float, error: VaultError) -> None:
        self._tell("vault.stale-read", self._path(key), Outcome.FAILED, {"age": f"{age:.0f} s", "why": error.message})

    def _credential(self, error: Error | None, lives: float) -> None:
        if error is None:
            self._tell("vault.credential", self.session.address, Outcome.OK, {})
            return
        detail = {"why": error.message, "token lives": f"{lives:.0f} s"}
        hint = {"hint": error.hint} if error.hint else {}
        self._tell("vault.credential", self.session.address, Outcome.FAILED, detail | hint)

    @contextlib.contextmanager
    def _told(self, event: str, key: str, detail: dict[str, str]) -> Iterator[dict[str, str]]:
        """Tell how a write ended, and see to it that the cache does not contradict it."""
        path = self._path(key)
        try:
            yield detail
        except Error as error:
            self._cache.doubt(key)
            self._tell(event, path, _outcome(error), {**detail, "why": error.message})
            raise
        self._cache.drop(key)
        self._tell(event, path, Outcome.OK, detail)

    def _tell(self, event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event, target, outcome, detail)
            except Error as error:  # a full disk under the ledger must not keep a secret from its reader
                _LOG.error("the event %s for %s could not be recorded: %s", event, target, error)


def _configured() -> VaultConnection:
    settings = load()
    local = settings.home / "app.env"
    chosen = settings.vault_connection or connection_file(local)
    if chosen is None:
        raise SettingsError(
            f"VAULT_ADDR is not set, and there is no local stack in {settings.home}",
            "set VAULT_ADDR in .env, or start a stack: ./scripts/setup_security.sh",
        )
    return chosen


def _outcome(error: Error) -> Outcome:
    match error:
        case OutcomeUnknown():
            return Outcome.UNKNOWN
        case PermissionDenied() | UsageError():
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED


def _numbers(versions: Sequence[int] | None) -> str:
    return "newest" if versions is None else " ".join(map(str, versions))


_LIVING: Final[WeakSet[VaultClient]] = WeakSet()


def _after_fork() -> None:
    for client in list(_LIVING):
        client._cache.after_fork()  # noqa: SLF001  same module
        client.session.after_fork()


os.register_at_fork(after_in_child=_after_fork)
