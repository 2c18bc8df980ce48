"""Binance, spot: HMAC-SHA256 over the query, ``GET /sapi/v1/account/apiRestrictions``.

Sources: developers.binance.com, "Get API Key Permission" (wallet), "Request Security" and "Error codes" (spot). One
code, -2015, stands for unknown key, wrong address and missing right alike. Keys that sign with Ed25519 or RSA are not
asked about: the standard library signs with neither.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import msgspec

from nasos.errors import ClockOff
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.exchange.wire import Heard, Wire

WINDOW: Final = "5000"
"""Milliseconds by which clocks may differ; Binance's default."""

_WHY: Final[Mapping[int, Why]] = {
    -1002: Why.RIGHTS,
    -1022: Why.SECRET,
    -2008: Why.UNKNOWN,
    -2014: Why.UNKNOWN,
    -2015: Why.UNTOLD,
    -2017: Why.FROZEN,
}
_CLOCK: Final = -1021
_BUSY: Final = frozenset({-1003, -1008})


class _Restrictions(msgspec.Struct, rename="camel"):
    ip_restrict: bool
    create_time: int
    enable_reading: bool
    enable_withdrawals: bool
    enable_internal_transfer: bool = False
    permits_universal_transfer: bool = False
    enable_spot_and_margin_trading: bool = False
    enable_futures: bool = False
    trading_authority_expiration_time: int | None = None


class _Account(msgspec.Struct):
    uid: int


def probe(wire: Wire, key: ApiKey, now: datetime) -> Answer:
    """What Binance says of ``key``.

    Raises:
        ExchangeError: It cannot be told.
    """
    heard = _asked(wire, "/sapi/v1/account/apiRestrictions", key, now)
    if isinstance(heard, Refused):
        return heard
    try:
        found = msgspec.convert(heard.body, _Restrictions)
    except msgspec.ValidationError:
        raise wire.strange(heard) from None
    return Facts(
        rights=frozenset(_rights(found)),
        bound=found.ip_restrict,
        account=_account(wire, key, now) if found.enable_reading else "",
        created=_moment(found.create_time),
        expires=_moment(found.trading_authority_expiration_time or 0),
        skew=heard.skew,
    )


def signature(query: str, key: ApiKey) -> str:
    """Hex, over the query as it is sent."""
    return hmac.new(key.secret.reveal().encode(), query.encode(), hashlib.sha256).hexdigest()


def _asked(wire: Wire, path: str, key: ApiKey, now: datetime) -> Heard | Refused:
    query = urlencode({"timestamp": int(now.timestamp() * 1000), "recvWindow": WINDOW})
    target = f"{path}?{query}&signature={signature(query, key)}"
    heard = wire.ask("GET", target, {"X-MBX-APIKEY": key.key.reveal()}, now)
    code = heard.body.get("code")
    if heard.status == 200 and code is None:
        return heard
    if code == _CLOCK:
        raise ClockOff.told(wire.exchange, heard.skew)
    if code in _BUSY:
        raise wire.busy()
    if not isinstance(code, int) or code not in _WHY:
        raise wire.strange(heard, code)
    return Refused(_WHY[code], str(code))


def _account(wire: Wire, key: ApiKey, now: datetime) -> str:
    """Whose key it is; empty where that cannot be told."""
    heard = _asked(wire, "/api/v3/account", key, now)
    try:
        return "" if isinstance(heard, Refused) else str(msgspec.convert(heard.body, _Account).uid)
    except msgspec.ValidationError:
        return ""


def _rights(found: _Restrictions) -> list[Right]:
    granted = {
        Right.READ: found.enable_reading,
        Right.TRADE: found.enable_spot_and_margin_trading,
        Right.FUTURES: found.enable_futures,
        Right.TRANSFER: found.enable_internal_transfer or found.permits_universal_transfer,
        Right.WITHDRAW: found.enable_withdrawals,
    }
    return [right for right, given in granted.items() if given]


def _moment(milliseconds: int) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
