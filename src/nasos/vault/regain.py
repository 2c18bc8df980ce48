"""From key shares to a root token and back to none: the way in when every credential is lost.

Rules: the root token lives for two requests; what works with it is a token that ends by itself after ten minutes and
is revoked and proved dead before that. Nothing of either is written down: a run killed in between leaves a token
that nobody knows, and the next one revokes it. An attempt of somebody else's is cancelled: it could not be told apart.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import msgspec

from nasos.errors import CredentialRejected, PermissionDenied, SecretNotFound, VaultError, VaultRefused
from nasos.secret import Secret
from nasos.vault import system
from nasos.vault.client import VaultApi

_ATTEMPT: Final = "sys/generate-root/attempt"
_UPDATE: Final = "sys/generate-root/update"
_LASTS: Final = "600s"
_NAME: Final = "nasos-recover"
_MADE_FROM_SHARES: Final = "auth/token/root"
"""``path`` of a token from ``sys/generate-root``; those made with another token say ``auth/token/create``."""


T = TypeVar("T")


class GivenShares:
    """Key shares as they are asked for, kept for the second time that they are needed."""

    def __init__(self, source: Iterable[Secret]) -> None:
        self._source: Iterator[Secret] = iter(source)
        self._given: list[Secret] = []

    def first(self, count: int) -> list[Secret]:
        """The first ``count`` shares.

        Raises:
            CredentialRejected: Fewer were given.
        """
        while len(self._given) < count:
            share = next(self._source, None)
            if share is None:
                raise CredentialRejected(
                    f"{len(self._given)} of {count} key shares given", "recovery.json holds them, where it was moved to"
                )
            self._given.append(share)
        return self._given[:count]


class _Attempt(msgspec.Struct):
    """``sys/generate-root``."""

    nonce: str
    required: int = 1
    complete: bool = False
    otp: str = ""
    encoded_token: str = ""
    encoded_root_token: str = ""


class _Token(msgspec.Struct):
    policies: list[str]
    path: str
    accessor: str
    display_name: str = ""

    @property
    def forgotten(self) -> bool:
        """A root token as this module makes them."""
        return "root" in self.policies and (self.path == _MADE_FROM_SHARES or self.display_name == f"token-{_NAME}")


@contextmanager
def root_authority(api: VaultApi, shares: GivenShares) -> Iterator[Secret]:
    """A token that may do anything, for the length of the block; proved dead afterwards.

    Raises:
        CredentialRejected: The shares are too few, or not this server's.
        PermissionDenied: The server's listener does not allow making root tokens from key shares.
        VaultError: The server was lost, or a token did not die.
    """
    unseal(api, shares)
    brief = _brief(api, _generated(api, shares))
    try:
        yield brief
    finally:
        end(api, brief)


def unseal(api: VaultApi, shares: GivenShares) -> None:
    """Open a server that waits for shares; one that unseals itself, or is open, is waited for."""
    status = system.seal_status(api)
    if status.sealed and not status.recovery_seal:
        for share in shares.first(status.t):
            system.unseal(api, share)
    system.wait_active(api)


def end_forgotten(api: VaultApi, token: Secret) -> int:
    """Revoke every other root token that was made from key shares, here or by hand; return how many there were."""
    own = _looked_up(api, "GET", "auth/token/lookup-self", None, token)
    ended = 0
    for accessor in _accessors(api, token):
        with suppress(SecretNotFound, PermissionDenied, VaultRefused):  # it ended meanwhile
            found = _looked_up(api, "POST", "auth/token/lookup-accessor", {"accessor": accessor}, token)
            if found.forgotten and accessor != own.accessor:
                api.request("POST", "auth/token/revoke-accessor", {"accessor": accessor}, token=token)
                ended += 1
    return ended


def end(api: VaultApi, token: Secret) -> None:
    """Revoke a token and prove that it is dead.

    Raises:
        VaultRefused: It is not.
        VaultError: That could not be told.
    """
    with suppress(CredentialRejected, PermissionDenied):
        api.request("POST", "auth/token/revoke-self", {}, token=token)
        api.request("GET", "auth/token/lookup-self", token=token)
        raise VaultRefused("a root token still works after it was revoked", "nasos vault recover, once more")


def require_closed(api: VaultApi) -> None:
    """Prove that key shares make no root token here.

    Raises:
        VaultRefused: They would.
        VaultError: That could not be told.
    """
    answer = api.exchange("PUT", _ATTEMPT, {})
    if answer.ok:
        api.request("DELETE", _ATTEMPT)
        raise VaultRefused(
            "the serving vault lets key shares make root tokens",
            "take disable_unauthed_generate_root_endpoints out of its configuration and restart it",
        )


def _generated(api: VaultApi, shares: GivenShares) -> Secret:
    """A root token, decoded with the one-time pad of this attempt."""
    _asked(lambda: api.request("DELETE", _ATTEMPT))
    begun = _asked(lambda: _attempt(api.request("PUT", _ATTEMPT, {})))
    try:
        ended = _fed(api, begun, shares)
    except CredentialRejected:
        with suppress(VaultError):
            api.request("DELETE", _ATTEMPT)
        raise
    return _decoded(ended.encoded_token or ended.encoded_root_token, begun.otp)


def _fed(api: VaultApi, begun: _Attempt, shares: GivenShares) -> _Attempt:
    for share in shares.first(begun.required):
        try:
            ended = _attempt(api.request("PUT", _UPDATE, {"key": share, "nonce": begun.nonce}))
        except VaultRefused:
            raise CredentialRejected(
                "the key shares are not this server's, or one of them is mistyped", "recovery.json holds them"
            ) from None
        if ended.complete:
            return ended
    raise CredentialRejected("the same key share was given twice", "give each share once")


def _asked(ask: Callable[[], T]) -> T:
    """Whether the listener answers these requests at all is only known by asking."""
    try:
        return ask()
    except (VaultRefused, PermissionDenied, SecretNotFound):
        raise PermissionDenied(
            "the server does not let key shares make a root token",
            "disable_unauthed_generate_root_endpoints = false on its listener, a restart, and once more: docs/vault.md",
        ) from None


def _decoded(encoded: str, otp: str) -> Secret:
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        return Secret(bytes(a ^ b for a, b in zip(raw, otp.encode(), strict=True)).decode("ascii"))
    except (binascii.Error, ValueError):
        raise VaultRefused("the server's root token cannot be decoded", "nasos vault recover, once more") from None


def _brief(api: VaultApi, root: Secret) -> Secret:
    """A root token that ends by itself, for one that would live for ever and is ended here."""
    body = {"policies": ["root"], "ttl": _LASTS, "explicit_max_ttl": _LASTS, "display_name": _NAME}
    try:
        auth = api.request("POST", "auth/token/create-orphan", body, token=root).get("auth")
    finally:
        end(api, root)
    value = auth.get("client_token") if isinstance(auth, Mapping) else None
    if not isinstance(value, str):
        raise VaultRefused("vault's answer holds no token", "check VAULT_ADDR")
    return Secret(value)


def _accessors(api: VaultApi, token: Secret) -> tuple[str, ...]:
    data = api.request("LIST", "auth/token/accessors", token=token).get("data")
    keys = data.get("keys") if isinstance(data, Mapping) else None
    return tuple(map(str, keys or ()))


def _attempt(answer: Mapping[str, object]) -> _Attempt:
    try:
        return msgspec.convert(answer, _Attempt)
    except msgspec.ValidationError:
        raise VaultRefused("the answer to sys/generate-root cannot be understood", "check VAULT_ADDR") from None


def _looked_up(api: VaultApi, method: str, path: str, body: Mapping[str, object] | None, token: Secret) -> _Token:
    try:
        return msgspec.convert(api.request(method, path, body, token=token).get("data"), _Token)
    except msgspec.ValidationError:
        raise VaultRefused("the answer about a token cannot be understood", "check VAULT_ADDR") from None
