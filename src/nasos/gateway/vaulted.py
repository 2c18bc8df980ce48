"""What the gateway has from Vault: the ring that signs, each bot's key, second factors, and what somebody's rights are.

Rules: what was read is believed for two seconds, and for a minute while Vault does not answer; then nothing is let in
any more. Of a bot it may read the key that signs, and nothing else. No secret leaves here but in a signature.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.errors import (
    CredentialRejected,
    OutcomeUnknown,
    SecretDeleted,
    SecretNotFound,
    VaultError,
    VaultRefused,
    VaultUnreachable,
)
from nasos.rotation import jwt
from nasos.rotation.signing import Ring, decoded
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import AppRoleLogin
from nasos.vault.cache import ReadCache
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.people import Person, log_in, person, possible_password
from nasos.vault.retry import ONCE
from nasos.vault.session import Session
from nasos.vault.store import Record

MAX_STALE: Final = 60.0
"""Seconds: as long as a minted token lives at most."""
PATIENCE: Final = 2.0
"""Seconds for a read; who waits for a decision would rather be told that it is closed."""
SIGNING: Final = "gateway/signing"
NO_PASSWORD: Final = Secret("none")
"""Asked with in place of what can be no password: Vault answers that in another way, and would not compare it."""


def key_of(bot: str) -> str:
    """Where the key is by which this bot's tokens are made."""
    return f"bots/{bot}/jwt"


class Vaulted:
    """Reads as the role ``gateway``; safe for many threads."""

    def __init__(self, session: Session, api: VaultApi) -> None:
        """``session`` reads; ``api`` is for the logins of others, which take their time."""
        self._session, self._store, self._api = session, KvStore(session, retry=ONCE), api
        self._cache = ReadCache(self._fetch, lambda *_: None, MAX_STALE)
        self._lock = threading.Lock()
        self._ring: tuple[int, Ring] | None = None

    def ring(self) -> Ring:
        """The keys that sign.

        Raises:
            VaultError: It cannot be read, and what was read is too old.
        """
        record = self._cache.get(SIGNING)
        with self._lock:
            if self._ring is None or self._ring[0] != record.version:
                self._ring = (record.version, decoded(record.fields))
            return self._ring[1]

    def minted(self, bot: str) -> Secret:
        """A token that this bot takes, for a minute.

        Raises:
            VaultError: Its key cannot be read, and what was read is too old.
        """
        key = self._cache.get(key_of(bot)).fields.get("jwt_secret_key")
        if not key:
            raise VaultRefused(f"{key_of(bot)} has no jwt_secret_key", f"nasos secret set {key_of(bot)}")
        return jwt.signed(key, datetime.now(UTC))

    def refresh(self, bot: str) -> None:
        """Read again what a decision needs; what was read counts for a while.

        Raises:
            VaultError: It cannot be read, and what was read is too old.
        """
        for name in (SIGNING, key_of(bot)):
            self._cache.get(name)

    def at_hand(self, *names: str) -> bool:
        """Whether these records need not be asked for at this moment."""
        now = time.monotonic()
        entries = [self._cache.entries.get(name) for name in names]
        return all(entry is not None and now < entry.fresh_until for entry in entries)

    def factor(self, name: str) -> Secret | None:
        """The second factor of a person; None: he has none."""
        try:
            return self._read(f"gateway/people/{name}").fields.get("totp")
        except (SecretNotFound, SecretDeleted):
            return None

    def person(self, name: str) -> Person | None:
        """Who may log in under this name, and with which rights now; None: nobody."""
        return person(self._api, self._session.token(), name)

    def proves(self, name: str, password: Secret) -> bool:
        """Whether this is the password; the login that shows it is ended at once.

        Raises:
            VaultError: It could not be found out.
        """
        possible = possible_password(password)
        try:
            answer = log_in(self._api, name, password if possible else NO_PASSWORD)
        except CredentialRejected:
            return False
        self._end(answer.token)
        return possible

    def machine(self, role_id: str, secret_id: Secret) -> str | None:
        """The AppRole that these belong to, without ``nasos-``; None: to none.

        Raises:
            VaultError: It could not be found out.
        """
        try:
            token = AppRoleLogin(self._api, AppRole(role_id=role_id, secret_id=secret_id)).obtain().token
        except (CredentialRejected, VaultRefused):  # the latter is the answer to an empty RoleID
            return None
        try:
            shown = self._api.request("GET", "auth/token/lookup-self", token=token).get("data")
        finally:
            self._end(token)
        meta = shown.get("meta") if isinstance(shown, dict) else None
        name = meta.get("role_name") if isinstance(meta, dict) else None
        return name.removeprefix("nasos-") if isinstance(name, str) else None

    def machine_role(self, name: str) -> str | None:
        """Which role an AppRole has here; None: none."""
        try:
            found = self._read(f"gateway/machines/{name}").fields.get("role")
        except (SecretNotFound, SecretDeleted):
            return None
        return found.reveal() if found else None

    def proven(self) -> int:
        """An audited read: the version of what says that the server is set up."""
        return self._read("_meta/bootstrap").version

    def close(self) -> None:
        """Give the token back."""
        self._session.close()
        self._api.close()

    def _read(self, name: str) -> Record:
        return self._store.read(f"nasos/{name}")

    def _fetch(self, name: str, _patient: bool) -> Record:  # noqa: FBT001  as the cache calls it
        try:
            return self._read(name)
        except (SecretNotFound, SecretDeleted) as error:
            raise VaultUnreachable(f"{name} is not there: {error.message}", "./nasos up") from None

    def _end(self, token: Secret) -> None:
        try:
            self._api.request("POST", "auth/token/revoke-self", {}, token=token)
        except (OutcomeUnknown, VaultError):
            return  # it ends by itself


def connected(address: str, ca_file: Path, credential: Path) -> Vaulted:
    """With the credential file of the role ``gateway``."""
    role = AppRole(role_id="", secret_id_file=credential)
    session = Session(VaultApi(address, ca_file, timeout=PATIENCE), role)
    return Vaulted(session, VaultApi(address, ca_file))
