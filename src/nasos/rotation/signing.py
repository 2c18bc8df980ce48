"""The gateway's signing keys: a ring of three Ed25519 keys, and what a verifier accepts of it.

Rules:

* ``current`` signs. ``next`` is published ahead, so that a verifier who remembers the set knows it before its time.
  ``previous`` signs nothing any more, and is accepted for the lifetime of the tokens that it signed, by the clock.
* One rotation moves each along: next becomes current, current becomes previous, and a new next is made. A key that was
  previous is gone.
* What is accepted is a function of the ring and the time: no step ends a key later, and no step can be missed.
* Tokens are JWS (RFC 7515) with EdDSA (RFC 8037); the header's ``alg`` is held to that, and ``kid`` (RFC 7638's
  thumbprint) must be one of the ring's. The published set is a JWKS (RFC 7517) without private parts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from nasos.errors import CredentialRejected, RotationError
from nasos.secret import Secret

LIFETIME: Final = timedelta(hours=1)
"""The longest that a token of the gateway's may live."""
LEEWAY: Final = timedelta(seconds=60)
"""By which clocks of two machines may differ."""
SPARE: Final = timedelta(minutes=10)
"""From a ring's making to the last signature of a gateway that does not know it yet: promotion, and what a client may
remember while Vault is away."""

_CRV: Final = {"kty": "OKP", "crv": "Ed25519"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the ring."""

    kid: str
    private: Secret
    """32 bytes, base64url."""
    public: str
    """32 bytes, base64url."""
    since: datetime
    """When it took its present place in the ring."""

    def placed(self, now: datetime) -> Key:
        """The same key at another place."""
        return replace(self, since=now)


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys by their places."""

    current: Key
    next: Key
    previous: Key | None = None

    @classmethod
    def first(cls, now: datetime) -> Ring:
        """A ring that never rotated."""
        return cls(fresh(now), fresh(now))

    def turned(self, now: datetime) -> Ring:
        """Each key one place on."""
        return Ring(self.next.placed(now), fresh(now), self.current.placed(now))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All of them."""
        return tuple(key for key in (self.current, self.next, self.previous) if key is not None)

    def accepted(self, now: datetime) -> tuple[Key, ...]:
        """Whose tokens are accepted at ``now``."""
        if self.previous is None or now >= self.previous.since + SPARE + LIFETIME:
            return (self.current,)
        return (self.current, self.previous)

    def sign(
        self, claims: Mapping[str, object], now: datetime, lifetime: timedelta = LIFETIME, *, kind: str = "JWT"
    ) -> Secret:
        """A token by the current key; ``iat`` and ``exp`` are set here, ``kind`` is the header's ``typ``.

        Raises:
            RotationError: It should live longer than a key is accepted after it signed.
        """
        if lifetime > LIFETIME:
            raise RotationError(f"a token may live {LIFETIME} at most")
        whole = {**claims, "iat": int(now.timestamp()), "exp": int((now + lifetime).timestamp())}
        return signed(self.current, whole, kind)

    def verify(self, token: Secret, now: datetime) -> Mapping[str, object]:
        """The claims of a token that one of the accepted keys signed and that has not ended.

        Raises:
            CredentialRejected: Anything else.
        """
        claims = verified(token, {key.kid: key.public for key in self.accepted(now)})
        ends, begun = claims.get("exp"), claims.get("iat")
        if not isinstance(ends, int) or not isinstance(begun, int) or isinstance(ends, bool):
            raise CredentialRejected("the token does not say when it was made and when it ends")
        moment = now.timestamp()
        if ends <= moment or begun > moment + LEEWAY.total_seconds() or ends - begun > LIFETIME.total_seconds():
            raise CredentialRejected("the token has ended, or was not made for now")
        return claims

    def jwks(self, now: datetime) -> Mapping[str, Sequence[Mapping[str, str]]]:
        """The published key set: what is accepted, and what will be next."""
        return {"keys": [_published(key) for key in (*self.accepted(now), self.next)]}


def fresh(now: datetime) -> Key:
    """A new key."""
    private = Ed25519PrivateKey.generate()
    public = _text(private.public_key().public_bytes_raw())
    return Key(thumbprint(public), Secret(_text(private.private_bytes_raw())), public, now)


def thumbprint(public: str) -> str:
    """The ``kid`` of a public key (RFC 7638, RFC 8037 appendix A.3)."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}'
    return _text(hashlib.sha256(canonical.encode()).digest())


def header(kid: str, kind: str = "JWT", algorithm: str = "EdDSA") -> str:
    """The first part of a token, as every token by this key has it."""
    return _text(msgspec.json.encode({"alg": algorithm, "typ": kind, "kid": kid}))


def signed(key: Key, claims: Mapping[str, object], kind: str = "JWT") -> Secret:
    """A token by this very key, whatever its place: for the ring, and for proofs."""
    content = f"{header(key.kid, kind)}.{_text(msgspec.json.encode(claims))}"
    signature = Ed25519PrivateKey.from_private_bytes(_bytes(key.private.reveal())).sign(content.encode())
    return Secret(f"{content}.{_text(signature)}")


def verified(token: Secret, keys: Mapping[str, str]) -> Mapping[str, object]:
    """The claims of a token that one of ``keys`` (public keys by ``kid``) signed; no look at the time.

    Raises:
        CredentialRejected: It is no such token.
    """
    content, _, signature = token.reveal().rpartition(".")
    head, _, body = content.partition(".")
    try:
        header = msgspec.json.decode(_bytes(head), type=_Header)
        public = keys[header.kid]
        Ed25519PublicKey.from_public_bytes(_bytes(public)).verify(_bytes(signature), content.encode())
        return msgspec.json.decode(_bytes(body), type=dict[str, object])
    except KeyError:
        raise CredentialRejected("the token is signed by a key that is unknown or retired") from None
    except (InvalidSignature, msgspec.MsgspecError, ValueError):
        raise CredentialRejected("the token is none of this gateway's") from None


class _Header(msgspec.Struct):
    kid: str
    alg: str

    def __post_init__(self) -> None:
        if self.alg != "EdDSA":
            raise ValueError("another algorithm")


def _published(key: Key) -> dict[str, str]:
    return {**_CRV, "x": key.public, "kid": key.kid, "use": "sig", "alg": "EdDSA"}


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    if "=" in text:
        raise ValueError("padded")
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def encoded(ring: Ring) -> dict[str, Secret]:
    """The record ``gateway/signing``: ``<place>_kid``, ``<place>_key`` and ``<place>_since`` of each."""
    places = {"current": ring.current, "next": ring.next, "previous": ring.previous}
    record: dict[str, Secret] = {}
    for place, key in places.items():
        if key is not None:
            record |= {
                f"{place}_kid": Secret(key.kid), f"{place}_key": key.private,
                f"{place}_since": Secret(key.since.isoformat()),
            }  # fmt: skip
    return record


def decoded(record: Mapping[str, Secret]) -> Ring:
    """The ring of a record.

    Raises:
        RotationError: It is none.
    """
    current, following = _key(record, "current"), _key(record, "next")
    if current is None or following is None:
        raise RotationError("the record of the signing keys lacks a key", "nasos secret history gateway/signing")
    return Ring(current, following, _key(record, "previous"))


def _key(record: Mapping[str, Secret], place: str) -> Key | None:
    try:
        private, since = record[f"{place}_key"], record[f"{place}_since"]
    except KeyError:
        return None
    try:
        key = Ed25519PrivateKey.from_private_bytes(_bytes(private.reveal()))
        moment = datetime.fromisoformat(since.reveal()).astimezone(UTC)
    except ValueError:
        raise RotationError(f"the {place} signing key is none", "nasos secret history gateway/signing") from None
    public = _text(key.public_key().public_bytes_raw())
    if record.get(f"{place}_kid") != Secret(thumbprint(public)):
        raise RotationError(
            f"the {place} signing key is not the one of its name", "nasos secret history gateway/signing"
        )
    return Key(thumbprint(public), private, public, moment)
