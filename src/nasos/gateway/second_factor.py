"""The second factor: time-based one-time codes (RFC 6238) as every authenticator app makes them.

Rules: HMAC-SHA-1, six digits, thirty seconds, because apps ignore anything else that an address says; the step before
and the one after count too, for clocks that differ; a code is good once, and none is that is older than the last good
one (RFC 6238, 5.2). Codes are compared in constant time, and all candidates are looked at.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final
from urllib.parse import quote

from nasos.errors import CredentialRejected
from nasos.secret import Secret

STEP: Final = 30
"""Seconds."""
DIGITS: Final = 6
SKEW: Final = 1
"""Steps that a clock may be off."""
ISSUER: Final = "nasos"


def fresh() -> Secret:
    """A new second factor: 160 bits (RFC 4226, 4), in base32."""
    return Secret(base64.b32encode(secrets.token_bytes(20)).decode())


def address(factor: Secret, name: str) -> Secret:
    """What an authenticator app reads from the QR code."""
    label = quote(f"{ISSUER}:{name}")
    return Secret(f"otpauth://totp/{label}?secret={factor.reveal()}&issuer={ISSUER}&digits={DIGITS}&period={STEP}")


def code(factor: Secret, step: int) -> str:
    """The code of one step (RFC 4226, 5.3).

    Raises:
        CredentialRejected: The second factor is none.
    """
    try:
        key = base64.b32decode(factor.reveal(), casefold=True)
    except (binascii.Error, ValueError):
        raise CredentialRejected("the second factor is none", "nasos gateway user totp NAME") from None
    digest = hmac.digest(key, step.to_bytes(8), hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(int.from_bytes(digest[offset : offset + 4]) & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}d}"


def accepted(factor: Secret, typed: str, now: datetime) -> int | None:
    """The step whose code was typed; None: none that counts now."""
    present, found = int(now.timestamp()) // STEP, None
    given = "".join(typed.split()).encode("utf-8", "surrogatepass")
    for step in range(present - SKEW, present + SKEW + 1):
        if hmac.compare_digest(code(factor, step).encode(), given):
            found = step
    return found
