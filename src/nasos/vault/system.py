"""The server's own state: initialized, sealed, active; and the two requests that change it without a token.

Rules: what the server is (OpenBao or HashiCorp Vault, which seal) is what it says, never what was configured. Key
shares travel as `Secret`.
"""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from nasos.errors import VaultRefused, VaultSealed, VaultStandby, VaultUninitialized, VaultUnreachable
from nasos.secret import Secret
from nasos.vault.client import VaultApi

_POLL: Final = 0.05  # seconds; a raft node with one voter is active 1.5 to 3 s after init


class Product(enum.StrEnum):
    """Whose server answers."""

    OPENBAO = "openbao"
    VAULT = "vault"


class SealStatus(msgspec.Struct, frozen=True, kw_only=True):
    """``sys/seal-status``."""

    type: str
    """``shamir``, or the kind of auto-unseal (``static``)."""
    initialized: bool
    sealed: bool
    t: int
    """Shares needed to unseal."""
    n: int
    """Shares that exist."""
    progress: int
    """Shares given so far."""
    version: str
    recovery_seal: bool = False
    """Whether ``sys/init`` hands out recovery keys instead of unseal keys."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``sys/health``, whatever its status code."""

    initialized: bool
    sealed: bool
    standby: bool
    version: str
    server_time_utc: int = 0
    """Seconds since the epoch by the server's clock."""
    cluster_name: str = ""
    enterprise: bool | None = None
    """HashiCorp Vault says true or false; OpenBao does not have the key."""

    @property
    def product(self) -> Product:
        """Whose server it is."""
        return Product.OPENBAO if self.enterprise is None else Product.VAULT

    @property
    def active(self) -> bool:
        """Whether this node serves."""
        return self.initialized and not self.sealed and not self.standby


@dataclass(frozen=True, slots=True)
class Shares:
    """How the master (or recovery) key is split."""

    shares: int = 1
    threshold: int = 1


@dataclass(frozen=True, slots=True)
class Initialized:
    """The answer to ``sys/init``: given once, never again."""

    root_token: Secret
    keys: tuple[Secret, ...]
    """Unseal key shares, or recovery key shares where the server unseals itself."""


def health(api: VaultApi) -> Health:
    """How the server is; sealed and uninitialized are answers, not errors.

    Raises:
        VaultUnreachable: No answer.
        VaultRefused: What answers is no Vault.
    """
    return _decoded(api, "sys/health", Health)


def seal_status(api: VaultApi) -> SealStatus:
    """Whether and how the server is sealed.

    Raises:
        VaultUnreachable: No answer.
        VaultRefused: What answers is no Vault.
        VaultSealed: The listener forwards while there is nobody to forward to.
    """
    return _decoded(api, "sys/seal-status", SealStatus)


_State = TypeVar("_State", Health, SealStatus)


def _decoded(api: VaultApi, path: str, kind: type[_State]) -> _State:
    answer = api.exchange("GET", path)
    # Health answers 429, 472, 501 or 503 with the same body; a refusal has "errors" instead.
    if "initialized" not in answer.body:
        raise answer.refusal()
    try:
        return msgspec.convert(answer.body, kind)
    except msgspec.ValidationError as error:
        raise VaultRefused(f"the answer to {path} cannot be understood: {error}", "check VAULT_ADDR") from None


def initialize(api: VaultApi, status: SealStatus, shares: Shares) -> Initialized:
    """Initialize the server; what it answers exists nowhere else.

    Raises:
        OutcomeUnknown: The answer was lost: the server may be initialized, and its keys are gone.
        VaultRefused: It is initialized already, or cannot be.
    """
    kind = "recovery" if status.recovery_seal else "secret"
    body = {f"{kind}_shares": shares.shares, f"{kind}_threshold": shares.threshold}
    answer = api.request("PUT", "sys/init", body)
    try:
        said = msgspec.convert(answer, _Init)
    except msgspec.ValidationError:
        raise VaultRefused("the answer to sys/init cannot be understood", "check VAULT_ADDR") from None
    keys = said.recovery_keys_base64 if status.recovery_seal else said.keys_base64
    return Initialized(Secret(said.root_token), tuple(Secret(key) for key in keys))


class _Init(msgspec.Struct):
    root_token: str
    keys_base64: list[str] = []
    recovery_keys_base64: list[str] = []


def unseal(api: VaultApi, share: Secret) -> SealStatus:
    """Give one share of the unseal key; the answer tells how many are missing.

    Raises:
        VaultRefused: The share is wrong, or no share of this server.
    """
    answer = api.request("PUT", "sys/unseal", {"key": share})
    try:
        return msgspec.convert(answer, SealStatus)
    except msgspec.ValidationError:
        raise VaultRefused("the answer to sys/unseal cannot be understood", "check VAULT_ADDR") from None


def wait_answering(api: VaultApi, seconds: float) -> SealStatus:
    """The seal status, as soon as the server answers.

    Raises:
        VaultUnreachable: It does not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return seal_status(api)
        except VaultUnreachable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_POLL)


def wait_active(api: VaultApi, seconds: float = 60.0) -> Health:
    """The health of the server, as soon as it is active.

    Raises:
        VaultSealed: It still is after ``seconds`` (at once where it waits for a person).
        VaultStandby: It has not become active within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        state = health(api)
        if state.active:
            return state
        if not state.initialized:
            raise VaultUninitialized("vault has never been initialized", "nasos vault bootstrap")
        if state.sealed and not seal_status(api).recovery_seal:
            raise VaultSealed("vault is sealed", "nasos vault unseal")
        if time.monotonic() >= deadline:
            kind = VaultSealed if state.sealed else VaultStandby
            raise kind(f"vault did not become active within {seconds:.0f} s", "nasos logs vault")
        time.sleep(_POLL)
