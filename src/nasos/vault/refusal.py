"""What a server's "no" means: status and error texts become one typed error.

Rules: pure, no IO. A refusal names the method's capability and the path, never a value: the server's own words
are quoted only after every string that we sent in confidence has been taken out. A 5xx on a write says "unknown":
a response that could not be audited is answered with 500 although the write was applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nasos.errors import (
    CheckAndSetMismatch,
    CredentialRejected,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    SecretNotFound,
    TooLarge,
    VaultError,
    VaultRefused,
    VaultSealed,
    VaultStandby,
    VaultUninitialized,
    VaultUnreachable,
)
from nasos.secret import MIN_REDACTED_LENGTH, Redactor, Secret

READS: Final = frozenset({"GET", "LIST", "HEAD"})
"""Methods that change nothing: they may be sent again. Everything else is sent once."""

_CAPABILITY: Final = {"GET": "read", "LIST": "list", "HEAD": "read", "DELETE": "delete", "PATCH": "patch"}

# Plain strings shorter than this are names ("approle", "kv"); keys and tokens are longer.
_LONGEST_NAME: Final = 16

_BY_STATUS: Final[Mapping[int, tuple[type[VaultError], str, str | None]]] = {
    307: (VaultStandby, "this vault node is a standby that does not forward", "set VAULT_ADDR to the active node"),
    412: (VaultStandby, "this vault standby has not caught up yet", "try again, or set VAULT_ADDR to the active node"),
    413: (TooLarge, "the request is larger than vault accepts", "split the value; KV v2 holds about 1 MiB per version"),
    429: (RateLimited, "vault's rate limit refused the request", "wait a moment; sys/quotas shows the limits"),
    472: (VaultStandby, "this vault node is a disaster recovery standby", "set VAULT_ADDR to the active node"),
    473: (VaultStandby, "this vault node is a performance standby", "set VAULT_ADDR to the active node"),
    501: (VaultUninitialized, "vault has never been initialized", "nasos vault bootstrap"),
}

_NEW_ONE: Final = "nasos vault credentials renew"

_BY_TEXT: Final[tuple[tuple[str, type[VaultError], str, str | None], ...]] = (
    ("check-and-set parameter did not match", CheckAndSetMismatch, "somebody wrote {path} in between", "read it again"),
    ("check-and-set parameter required", CheckAndSetMismatch, "{path} is only written with check-and-set", None),
    ("max_request_size", TooLarge, "the request is larger than vault accepts", "split the value"),
    ("request body too large", TooLarge, "the request is larger than vault accepts", "split the value"),
    ("too large", TooLarge, "the value at {path} is larger than vault's storage accepts", "split the value"),
    ("vault is sealed", VaultSealed, "vault is sealed", "nasos vault unseal"),
    ("not initialized", VaultUninitialized, "vault has never been initialized", "nasos vault bootstrap"),
    ("active cluster node not found", VaultStandby, "vault has no active node at the moment", "nasos status"),
    ("invalid role", CredentialRejected, "vault refused the RoleID or SecretID: wrong, expired or used up", _NEW_ONE),
    ("invalid secret id", CredentialRejected, "vault refused the SecretID: wrong, expired or used up", _NEW_ONE),
    ("invalid username or password", CredentialRejected, "vault refused the name or the password", "nasos login NAME"),
    ("by cidr restrictions", CredentialRejected, "vault refused this login from this address",
     "log in from where the role may: its secret_id_bound_cidrs and token_bound_cidrs"),
    ("through cidr restrictions", CredentialRejected, "vault refused this login from this address",
     "log in from where the role may: its secret_id_bound_cidrs and token_bound_cidrs"),
    ("wrapping token is not valid", CredentialRejected,
     "the wrapping token is used up, expired or wrong: somebody else may have unwrapped it",
     "have a new one made, and find out who used the old one"),
    ("no handler for route", VaultRefused, "nothing is mounted at {path}", "nasos vault bootstrap --plan"),
)  # fmt: skip


def token_unknown(status: int, errors: Iterable[str]) -> bool:
    """Whether a 403 means that the token is dead, not that its policy says no.

    Both servers answer a policy's "no" with "1 error occurred: * permission denied" and an unknown token with the
    bare words or with "invalid token" (``checkToken`` in both sources; OpenBao 2.7.2 measured).
    """
    said = " ".join(errors)
    return status == 403 and (said.strip() == "permission denied" or "invalid token" in said)


def refusal(
    method: str, path: str, status: int, errors: Iterable[str] = (), confidential: Confidential | None = None
) -> VaultError:
    """The typed error for an answer of ``status`` to ``method path``."""
    errors = tuple(errors)
    said = "; ".join(" ".join(error.split()) for error in errors)
    lower = said.lower()
    for marker, kind, message, hint in _BY_TEXT:
        if marker in lower:
            return kind(message.format(path=path), hint)
    if status in _BY_STATUS:
        kind, message, hint = _BY_STATUS[status]
        return kind(message, hint)
    if token_unknown(status, errors) and confidential is not None and confidential.has_token:
        return CredentialRejected(
            "vault does not know the token (any more)", "log in again (nasos login NAME), or set VAULT_TOKEN anew"
        )
    if status == 403:
        capability = _CAPABILITY.get(method, "create or update")
        return PermissionDenied(f"vault denied {capability} on {path}", "the token's policy does not allow it")
    if status == 404:
        return SecretNotFound(f"nothing is stored at {path}")
    if status >= 500:
        return _server_trouble(method, path, status)
    quoted = (confidential or Confidential(None)).clean(said)[:300] or f"status {status}"
    return VaultRefused(f"vault refused {method} {path}: {quoted[:1].lower()}{quoted[1:].rstrip('.')}")


def _server_trouble(method: str, path: str, status: int) -> VaultError:
    if status == 503:
        return VaultUnreachable("vault is not available at the moment (503)", "nasos status")
    hint = "a full disk under the audit log stops vault: look at its log and at df -h"
    if method in READS:
        return VaultUnreachable(f"vault could not serve {method} {path} ({status})", hint)
    return OutcomeUnknown(
        f"vault answered {status} to {method} {path}; it may or may not have been applied", f"read it back; {hint}"
    )


class Confidential:
    """All that one request carried in confidence; cleans the server's words of it."""

    __slots__ = ("_body", "_token")

    def __init__(self, body: object, token: Secret | None = None) -> None:
        self._body = body
        self._token = token

    @property
    def has_token(self) -> bool:
        """Whether a token was sent."""
        return self._token is not None

    def clean(self, text: str) -> str:
        """``text`` without the values; all of it is withheld when a value too short to replace stands in it."""
        values = [*_leaves(self._body), *([self._token.reveal()] if self._token else [])]
        if any(0 < len(value) < MIN_REDACTED_LENGTH and value in text for value in values):
            return "(answer withheld)"
        return Redactor([Secret(value) for value in values]).redact(text)


def _leaves(body: object) -> Iterator[str]:
    match body:
        case Secret():
            yield body.reveal()
        case str() if len(body) > _LONGEST_NAME:
            yield body
        case Mapping():
            for value in body.values():
                yield from _leaves(value)
        case list() | tuple():
            for value in body:
                yield from _leaves(value)
        case _:
            return
