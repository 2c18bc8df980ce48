"""Access tokens: Ed25519, of minutes, for one audience and one session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from nasos.gateway.access import Role
from nasos.rotation.signing import Ring
from nasos.secret import Secret

LONGEST: Final = 8192
"""No longer token is looked at."""


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


Keys = Mapping[str, Ed25519PublicKey]
"""Public keys by ``kid``."""


def issue(  # noqa: PLR0913  the claims, each by its name
    ring: Ring, *, subject: str, role: Role, session: str, audience: str, now: datetime, seconds: int
) -> Secret:
    """A new token by the ring's current key.

    Raises:
        RotationError: It should live longer than a key is accepted after it signed.
    """
    raise NotImplementedError


def accepted(ring: Ring, now: datetime) -> Keys:
    """The keys whose tokens are accepted at ``now``."""
    raise NotImplementedError


def verify(token: Secret, keys: Keys, *, audience: str, now: datetime) -> Claims:
    """What the token says.

    Raises:
        TokenRefused: It is not ours, not for this audience, or not for now; the message is for the log only.
    """
    raise NotImplementedError


def jwks(ring: Ring, now: datetime) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """The published key set (RFC 7517)."""
    return ring.jwks(now)


class Verifier:
    """Verifies, and remembers what it verified: at most ``size`` tokens, each at most until its end.

    A remembered token is refused all the same when its key is accepted no more.
    """

    def __init__(self, ring: Callable[[], Ring], *, size: int = 4096) -> None:
        raise NotImplementedError

    def verify(self, token: Secret, *, audience: str, now: datetime) -> Claims:
        """See `verify`."""
        raise NotImplementedError
