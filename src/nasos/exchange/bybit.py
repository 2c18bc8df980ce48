"""Bybit, v5: HMAC-SHA256 over time, key, window and query, ``GET /v5/user/query-api``.

Source: bybit-exchange.github.io/docs, "Get API Key Information", "Integration guidance", "Error codes". A key without
addresses lasts three months; ``expiredAt`` says until when. ``readOnly`` takes the edge off all that is listed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from nasos.errors import ClockOff
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.exchange.wire import Heard, Wire

WINDOW: Final = "5000"
PATH: Final = "/v5/user/query-api"
ANYWHERE: Final = "*"

_WHY: Final[Mapping[int, Why]] = {
    10003: Why.UNKNOWN,
    10004: Why.SECRET,
    10005: Why.RIGHTS,
    10008: Why.FROZEN,
    10009: Why.ADDRESS,
    10010: Why.ADDRESS,
    10024: Why.FROZEN,
    33004: Why.EXPIRED,
}
_CLOCK: Final = 10002
_BUSY: Final = frozenset({10006, 10018})


class _Key(msgspec.Struct, rename="camel"):
    read_only: int
    permissions: dict[str, list[str]]
    ips: list[str]
    created_at: str
    user_id: int | str = msgspec.field(name="userID")
    expired_at: str = ""
    note: str = ""


def probe(wire: Wire, key: ApiKey, now: datetime) -> Answer:
    """What Bybit says of ``key``.

    Raises:
        ExchangeError: It cannot be told.
    """
    stamp = str(int(now.timestamp() * 1000))
    headers = {
        "X-BAPI-API-KEY": key.key.reveal(),
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-RECV-WINDOW": WINDOW,
        "X-BAPI-SIGN": signature(stamp, key),
    }
    heard = wire.ask("GET", PATH, headers, now)
    code = heard.body.get("retCode")
    if code == 0:
        return _facts(wire, heard)
    if code == _CLOCK:
        raise ClockOff.told(wire.exchange, heard.skew)
    if code in _BUSY:
        raise wire.busy()
    if not isinstance(code, int) or code not in _WHY:
        raise wire.strange(heard, code)
    return Refused(_WHY[code], str(code))


def signature(stamp: str, key: ApiKey) -> str:
    """Hex; there is no query."""
    text = stamp + key.key.reveal() + WINDOW
    return hmac.new(key.secret.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def _facts(wire: Wire, heard: Heard) -> Facts:
    try:
        found = msgspec.convert(heard.body.get("result"), _Key)
        created, expires = _moment(found.created_at), _moment(found.expired_at)
    except msgspec.ValidationError:
        raise wire.strange(heard) from None
    addresses = tuple(ip for ip in found.ips if ip not in {ANYWHERE, ""})
    return Facts(
        rights=frozenset(_rights(found)),
        bound=bool(addresses) and ANYWHERE not in found.ips,
        addresses=addresses,
        account=str(found.user_id),
        created=created,
        expires=expires,
        label=found.note,
        skew=heard.skew,
    )


def _rights(found: _Key) -> list[Right]:
    given = {name: set(rights) for name, rights in found.permissions.items()}
    wallet = given.get("Wallet", set())
    granted = {
        Right.TRADE: "SpotTrade" in given.get("Spot", set()),
        Right.FUTURES: "Order" in given.get("ContractTrade", set()) or bool(given.get("Derivatives")),
        Right.TRANSFER: bool(wallet - {"Withdraw"}),
        Right.WITHDRAW: "Withdraw" in wallet,
    }
    writes = [] if found.read_only else [right for right, given in granted.items() if given]
    return [Right.READ, *writes]


def _moment(text: str) -> datetime | None:
    """Documented as a date, for an unlimited key as an empty text; year 1970 was seen for "never", too."""
    found = msgspec.convert(text, datetime) if text else None
    return found if found and found.year > 1970 else None
