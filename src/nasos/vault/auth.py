"""Where tokens come from: an AppRole login, or a token that was given to us.

Rules:

* The SecretID file is read anew at each login, so replacing it needs no restart.
* A wrapped SecretID is unwrapped once, and only if an AppRole role made it (``sys/wrapping/lookup``).
* A token is replaced by a new login when it cannot be renewed or nears its maximum life.
* A token that was given is renewed as far as its policy lets us; its end is its giver's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import msgspec

from nasos.errors import (
    CredentialRejected,
    OutcomeUnknown,
    PermissionDenied,
    SettingsError,
    VaultRefused,
    VaultUnreachable,
)
from nasos.files import read_private
from nasos.secret import Secret
from nasos.settings import AppRole, Token
from nasos.vault.client import VaultApi

RENEW_AT: Final = 2 / 3  # of the token's life: a third is left to survive an outage (certmagic's renewal ratio)
GIVEN_TOKEN_LOOKED_AT: Final = 60.0  # seconds: a short program with its own token never asks how long it lives
FOREVER: Final = float("inf")

_MADE_BY_APPROLE: Final = re.compile(r"(?:[^\s]+/)?auth/[^/\s]+/role/[^/\s]+/secret-id")


@dataclass(frozen=True, slots=True)
class Grant:
    """A token and how long it is good for, in seconds from now."""

    token: Secret
    renew_after: float
    lasts: float
    full_life: float
    """What the login granted: a renewal far below it says that the maximum is near."""
    ours: bool
    """We logged in for it, so we may revoke it."""


class Source(Protocol):
    """Gives tokens and keeps them alive."""

    replaceable: bool
    """Whether a dead token can be replaced by a new one."""

    def obtain(self) -> Grant:
        """A token to begin with."""

    def renew(self, grant: Grant) -> Grant:
        """The same token for longer, or another one."""


class RoleFile(msgspec.Struct, frozen=True):
    """``credentials/<role>.json``."""

    role_id: str
    secret_id: str

    def __repr__(self) -> str:
        return f"RoleFile(role_id={self.role_id!r}, secret_id=...)"


class _Auth(msgspec.Struct, frozen=True):
    client_token: str
    lease_duration: int


class _Data(msgspec.Struct, frozen=True):
    creation_path: str = ""
    secret_id: str = ""
    ttl: int = 0
    renewable: bool = False


class _Answer(msgspec.Struct, frozen=True):
    auth: _Auth | None = None
    data: _Data | None = None


class GivenToken:
    """The operator's own token, from ``VAULT_TOKEN``."""

    replaceable = False

    def __init__(self, api: VaultApi, token: Token) -> None:
        self._api = api
        self._token = token.value

    def obtain(self) -> Grant:
        """The token as it is; nothing is asked."""
        return Grant(self._token, GIVEN_TOKEN_LOOKED_AT, FOREVER, FOREVER, ours=False)

    def renew(self, grant: Grant) -> Grant:
        """Renew it if it may look itself up, has an end, and may be renewed."""
        renew_after = FOREVER
        try:
            known = _decoded(self._api.request("GET", "auth/token/lookup-self", token=grant.token)).data
            if known is not None and known.renewable and known.ttl:
                renew_after = max(_renewed(self._api, grant.token).lease_duration * RENEW_AT, GIVEN_TOKEN_LOOKED_AT)
        except PermissionDenied:
            pass  # its policy allows neither: use it while it lasts
        return replace(grant, renew_after=renew_after)


class AppRoleLogin:
    """RoleID and SecretID, exchanged for a token."""

    replaceable = True

    def __init__(self, api: VaultApi, credential: AppRole, mount: str = "approle") -> None:
        self._api = api
        self._credential = credential
        self._mount = mount
        self._unwrapped: tuple[Secret, Secret] | None = None

    def obtain(self) -> Grant:
        """Log in.

        Raises:
            CredentialRejected: RoleID or SecretID is wrong, expired, used up or bound to another address.
        """
        role_id, secret_id = _role(self._credential)
        if self._credential.wrapped:
            secret_id = self._unwrap(secret_id)
        body = {"role_id": role_id, "secret_id": secret_id}
        try:
            auth = _auth(self._api.request("POST", f"auth/{self._mount}/login", body))
        except PermissionDenied:
            raise CredentialRejected(
                "vault refused the login: the SecretID may be used up, or bound to another address",
                "nasos vault credentials renew",
            ) from None
        except OutcomeUnknown as error:
            # A login that was lost left at most a token that nobody holds: asking again is safe.
            raise VaultUnreachable(f"the login got no answer: {error}", "nasos status") from None
        return _grant(auth, float(auth.lease_duration))

    def renew(self, grant: Grant) -> Grant:
        """Renew the token, or log in anew when that is refused or brings little."""
        try:
            auth = _renewed(self._api, grant.token)
        except (CredentialRejected, PermissionDenied, VaultRefused):
            return self.obtain()
        return self.obtain() if auth.lease_duration < grant.full_life / 2 else _grant(auth, grant.full_life)

    def _unwrap(self, wrapping: Secret) -> Secret:
        if self._unwrapped is not None and self._unwrapped[0] == wrapping:
            return self._unwrapped[1]
        looked = _decoded(self._api.request("POST", "sys/wrapping/lookup", {"token": wrapping})).data
        if looked is None or not _MADE_BY_APPROLE.fullmatch(looked.creation_path):
            raise CredentialRejected(
                "the wrapping token was not made by an AppRole role: it may have been swapped",
                "have a new one made, and find out who handed this one over",
            )
        data = _decoded(self._api.request("POST", "sys/wrapping/unwrap", {}, token=wrapping)).data
        if data is None or not data.secret_id:
            raise CredentialRejected("the wrapping token holds no SecretID", "have a new one made")
        self._unwrapped = (wrapping, Secret(data.secret_id))
        return self._unwrapped[1]


def source(api: VaultApi, credential: Token | AppRole, mount: str = "approle") -> Source:
    """The source of tokens for a credential."""
    return GivenToken(api, credential) if isinstance(credential, Token) else AppRoleLogin(api, credential, mount)


def _renewed(api: VaultApi, token: Secret) -> _Auth:
    try:
        return _auth(api.request("POST", "auth/token/renew-self", {}, token=token))
    except OutcomeUnknown as error:
        raise VaultUnreachable(f"the renewal got no answer: {error}", "nasos status") from None


def _grant(auth: _Auth, full_life: float) -> Grant:
    # A lease of 0 is a token without end (root, periodic batch): nothing to renew.
    lasts = float(auth.lease_duration) or FOREVER
    return Grant(Secret(auth.client_token), lasts * RENEW_AT, lasts, full_life, ours=True)


def _auth(body: dict[str, object]) -> _Auth:
    auth = _decoded(body).auth
    if auth is None:
        raise VaultRefused("vault's answer holds no token", "check VAULT_ADDR")
    return auth


def _decoded(body: dict[str, object]) -> _Answer:
    try:
        return msgspec.convert(body, _Answer)
    except msgspec.ValidationError:
        raise VaultRefused("vault's answer has an unexpected shape", "check VAULT_ADDR") from None


def _role(credential: AppRole) -> tuple[str, Secret]:
    """RoleID and SecretID as they are now; a JSON credential file says both."""
    if credential.secret_id is not None:
        return credential.role_id, credential.secret_id
    if credential.secret_id_file is None:
        raise SettingsError("the AppRole has no SecretID", "set VAULT_SECRET_ID_FILE")
    return _told(read_private(credential.secret_id_file), credential.secret_id_file, credential.role_id)


def role_of(content: bytes, file: Path) -> AppRole:
    """The credential that a file of `RoleFile`'s shape held, for who cannot open the file himself.

    Raises:
        SettingsError: It is none.
    """
    return AppRole(*_told(content, file, ""))


def _told(content: bytes, file: Path, role_id: str) -> tuple[str, Secret]:
    text = content.decode(errors="replace").strip()
    if not text.startswith("{"):
        return role_id, Secret(text)
    try:
        role = msgspec.json.decode(text, type=RoleFile)
    except msgspec.MsgspecError:
        raise SettingsError(
            f"{file} is neither a SecretID nor role_id and secret_id in JSON",
            "nasos vault bootstrap",
        ) from None
    return role.role_id, Secret(role.secret_id)
