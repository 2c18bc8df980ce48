"""Access tokens: Ed25519, of minutes, for one audience and one session.

Rules:

* A header is not parsed: it is, letter for letter, one of the few that we write for the keys that are accepted now. So
  there is no ``none``, no other algorithm, no ``kid`` from elsewhere, no ``jku``, ``x5u``, ``jwk`` or ``crit`` to fall
  for (RFC 8725, 3.1 and 3.10). It is read only to say in the log what was wrong, when the token is refused already.
* What was signed is, letter for letter, what we would write: no member twice, none unknown, no second encoding of the
  same token, so that one token has one fingerprint.
* ``typ`` is our own (RFC 8725, 3.11): nothing else that the ring ever signs is an access token.
* ``alg`` is ``EdDSA`` (RFC 8037). RFC 9864 replaces the name by ``Ed25519``, which is accepted too and not yet
  written, for PyJWT 2.15 does not know it; the key is an Ed25519 key, whatever the name.
* Nothing longer than 8 KiB is looked at.
* Why a token was refused is for the log. A client is told the same whatever it was.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nasos.errors import TokenRefused
from nasos.gateway.access import Role
from nasos.rotation.signing import LEEWAY, LIFETIME, Key, Ring, header
from nasos.secret import Secret

LONGEST: Final = 8192
"""No longer token is looked at."""
KIND: Final = "nasos-access+jwt"
ALGORITHMS: Final = ("EdDSA", "Ed25519")
"""The first is written."""
_SIGNATURE: Final = 86  # 64 bytes in base64url


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says."""

    sub: str
    """The user, or the name of the machine."""
    role: Role
    sid: str
    """The session; see `sessions`."""
    aud: str
    jti: str
    iat: int
    """Seconds since 1970, as ``exp``."""
    exp: int
    kid: str
    """The key that signed it; from the header."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The claims in the order in which they are signed."""

    sub: str
    role: Role
    sid: str
    aud: str
    jti: str
    iat: int
    exp: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose tokens are accepted."""

    by_header: Mapping[str, tuple[str, Ed25519PublicKey]]
    """A header as it stands in a token -> the key's ``kid``, and the key."""
    kids: tuple[str, ...]


def issue(  # noqa: PLR0913  the claims, each by its name
    ring: Ring, *, subject: str, role: Role, session: str, audience: str, now: datetime, seconds: int
) -> Secret:
    """A new token by the ring's current key.

    Raises:
        RotationError: It should live longer than a key is accepted after it signed.
    """
    claims = {"sub": subject, "role": role, "sid": session, "aud": audience, "jti": secrets.token_urlsafe(16)}
    return ring.sign(claims, now, timedelta(seconds=seconds), kind=KIND)


def accepted(ring: Ring, now: datetime) -> Keys:
    """The keys whose tokens are accepted at ``now``."""
    return _keys(ring.accepted(now))


def verify(token: Secret, keys: Keys, *, audience: str, now: datetime) -> Claims:
    """What the token says.

    Raises:
        TokenRefused: It is not ours, not for this audience, or not for now; the message is for the log only.
    """
    claims = _signed(token.reveal(), keys)
    _hold(claims, audience, now)
    return claims


def jwks(ring: Ring, now: datetime) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """The published key set (RFC 7517)."""
    return ring.jwks(now)


class Verifier:
    """Verifies, and remembers what it verified: at most ``size`` tokens, by their SHA-256, each until its end.

    A remembered token is held to key, audience and time again each time: only the signature is not computed anew.
    """

    def __init__(self, ring: Callable[[], Ring], *, size: int = 4096) -> None:
        self._ring = ring
        self._size = size
        self._keys = Keys({}, ())
        self._known: dict[bytes, Claims] = {}
        self._lock = threading.Lock()

    def verify(self, token: Secret, *, audience: str, now: datetime) -> Claims:
        """See `verify`."""
        text = token.reveal()
        if len(text) > LONGEST:
            raise TokenRefused("longer than any token")
        keys = self._accepted(now)
        name = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        claims = self._known.get(name)
        if claims is None or claims.kid not in keys.kids:
            claims = _signed(text, keys)
            _hold(claims, audience, now)
            self._remember(name, claims, now)
        else:
            _hold(claims, audience, now)
        return claims

    def _accepted(self, now: datetime) -> Keys:
        keys = self._ring().accepted(now)
        if tuple(key.kid for key in keys) != self._keys.kids:
            self._keys = _keys(keys)
        return self._keys

    def _remember(self, name: bytes, claims: Claims, now: datetime) -> None:
        """The oldest make room, those that have ended first."""
        with self._lock:
            if len(self._known) >= self._size:
                ended = [old for old, known in self._known.items() if known.exp <= now.timestamp()]
                for old in ended or list(self._known)[: self._size // 8 + 1]:
                    del self._known[old]
            self._known[name] = claims


def _keys(accepted: Sequence[Key]) -> Keys:
    headers: dict[str, tuple[str, Ed25519PublicKey]] = {}
    for key in accepted:
        public = Ed25519PublicKey.from_public_bytes(_bytes(key.public))
        headers |= {header(key.kid, KIND, algorithm): (key.kid, public) for algorithm in ALGORITHMS}
    return Keys(headers, tuple(key.kid for key in accepted))


def _signed(text: str, keys: Keys) -> Claims:
    """The claims of a token that one of the keys signed, whatever they say."""
    if len(text) > LONGEST:
        raise TokenRefused("longer than any token")
    head, _, rest = text.partition(".")
    body, _, signature = rest.partition(".")
    kid, public = keys.by_header.get(head) or _unknown(head)
    if len(signature) != _SIGNATURE:
        raise TokenRefused("no Ed25519 signature")
    try:
        public.verify(_bytes(signature), f"{head}.{body}".encode("ascii"))
        content = _bytes(body)
        claims = msgspec.json.decode(content, type=_Body)
    except InvalidSignature:
        raise TokenRefused("the signature is wrong") from None
    except (msgspec.MsgspecError, ValueError):
        raise TokenRefused("what is signed are no claims of ours") from None
    if msgspec.json.encode(claims) != content:
        raise TokenRefused("the claims are not written as we write them")
    return Claims(**msgspec.structs.asdict(claims), kid=kid)


def _hold(claims: Claims, audience: str, now: datetime) -> None:
    """Audience and times, as the rules say."""
    moment = now.timestamp()
    if claims.aud != audience:
        raise TokenRefused("for another audience")
    if claims.exp <= moment:
        raise TokenRefused("it has ended")
    if claims.iat > moment + LEEWAY.total_seconds():
        raise TokenRefused("from the future")
    if not 0 < claims.exp - claims.iat <= LIFETIME.total_seconds():
        raise TokenRefused("it lives longer than any token of ours")


class _Header(msgspec.Struct):
    alg: str = ""
    typ: str = ""
    kid: str = ""
    jku: msgspec.Raw = msgspec.Raw()
    x5u: msgspec.Raw = msgspec.Raw()
    jwk: msgspec.Raw = msgspec.Raw()
    x5c: msgspec.Raw = msgspec.Raw()
    crit: msgspec.Raw = msgspec.Raw()


def _unknown(head: str) -> tuple[str, Ed25519PublicKey]:
    """Says in the log what is wrong with a header that is none of ours; it quotes nothing of it."""
    told = _Header()
    with contextlib.suppress(msgspec.MsgspecError, ValueError):
        told = msgspec.json.decode(_bytes(head), type=_Header)
    tricks = [name for name in ("jku", "x5u", "jwk", "x5c", "crit") if bytes(getattr(told, name))]
    if tricks:
        raise TokenRefused(f"the header brings {', '.join(tricks)}")
    if told.alg not in ALGORITHMS:
        raise TokenRefused("no algorithm, or another one" if told.alg or told.kid else "no token")
    if told.typ != KIND:
        raise TokenRefused("another kind of token")
    raise TokenRefused("signed by a key that is unknown or retired, or with another header")


def _bytes(text: str) -> bytes:
    """Base64url as RFC 7515 has it: no padding, no other alphabet, no spare bit set.

    Raises:
        ValueError: It is none.
    """
    content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(content).rstrip(b"=") != text.encode():
        raise ValueError("another encoding of the same bytes")
    return content
