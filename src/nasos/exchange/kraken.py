"""Kraken, spot: HMAC-SHA512 over the path and a hash of the form; ``POST /0/private/GetApiKeyInfo``.

Source: docs.kraken.com, "Get API Key Info", "Spot REST authentication", "Errors". Each nonce of a key has to be larger
than the last: ours counts milliseconds as ccxt's does, so that a probe of the bot's own key leaves the bot's next ones
valid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from nasos.errors import ClockOff
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.exchange.wire import Heard, Wire

PATH: Final = "/0/private/GetApiKeyInfo"

_WHY: Final[Mapping[str, Why]] = {
    "EAPI:Invalid key": Why.UNKNOWN,
    "EAPI:Invalid signature": Why.SECRET,
    "EGeneral:Permission denied": Why.UNTOLD,
    "EAPI:Invalid permissions": Why.RIGHTS,
    "EAccount:Invalid permissions": Why.FROZEN,
}
"""An address that is not listed is answered with "Permission denied", as a missing right is."""
_CLOCK: Final = "EAPI:Invalid nonce"
_BUSY: Final = frozenset(
    {
        "EAPI:Rate limit exceeded",
        "EGeneral:Too many requests",
        "EGeneral:Temporary lockout",
        "EGeneral:Internal error",
        "EService:Unavailable",
        "EService:Busy",
    }
)
_RIGHTS: Final[Mapping[Right, frozenset[str]]] = {
    Right.READ: frozenset({"query-funds"}),
    Right.TRADE: frozenset({"modify-trades"}),
    Right.TRANSFER: frozenset({"add-funds", "earn-funds"}),
    Right.WITHDRAW: frozenset({"withdraw-funds", "add-withdraw-address", "update-withdraw-address"}),
}


class _Info(msgspec.Struct, rename="camel"):
    permissions: list[str]
    api_key_name: str = ""
    iban: str = ""
    valid_until: str = "0"
    created_time: str = "0"
    ip_allowlist: list[str] = []


def probe(wire: Wire, key: ApiKey, now: datetime) -> Answer:
    """What Kraken says of ``key``.

    Raises:
        ExchangeError: It cannot be told.
    """
    nonce = str(int(now.timestamp() * 1000))
    body = urlencode({"nonce": nonce})
    try:
        sign = signature(nonce, body, key)
    except (binascii.Error, ValueError):
        return Refused(Why.SECRET, "not base64")
    headers = {
        "API-Key": key.key.reveal(),
        "API-Sign": sign,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    heard = wire.ask("POST", PATH, headers, now, body)
    said = heard.body.get("error")
    if said == []:
        return _facts(wire, heard)
    return _refusal(wire, heard, said if isinstance(said, list) else [])


def signature(nonce: str, body: str, key: ApiKey) -> str:
    """Base64, with the secret as it is given: base64, too.

    Raises:
        binascii.Error: It is not.
    """
    secret = base64.b64decode(key.secret.reveal(), validate=True)
    text = PATH.encode() + hashlib.sha256((nonce + body).encode()).digest()
    return base64.b64encode(hmac.digest(secret, text, hashlib.sha512)).decode()


def _refusal(wire: Wire, heard: Heard, said: Sequence[object]) -> Refused:
    codes = {str(code) for code in said}
    if codes & _BUSY:
        raise wire.busy()
    if _CLOCK in codes:
        raise ClockOff.told(wire.exchange, heard.skew)
    known = sorted(codes & _WHY.keys())
    if not known:
        raise wire.strange(heard, next(iter(codes), None))
    return Refused(_WHY[known[0]], known[0])


def _facts(wire: Wire, heard: Heard) -> Facts:
    try:
        found = msgspec.convert(heard.body.get("result"), _Info)
        created, expires = _moment(found.created_time), _moment(found.valid_until)
    except (msgspec.ValidationError, ValueError):
        raise wire.strange(heard) from None
    given = frozenset(found.permissions)
    return Facts(
        rights=frozenset(right for right, names in _RIGHTS.items() if names & given),
        bound=bool(found.ip_allowlist),
        addresses=tuple(found.ip_allowlist),
        account=found.iban,
        created=created,
        expires=expires,
        label=found.api_key_name,
        skew=heard.skew,
    )


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if int(seconds) else None
