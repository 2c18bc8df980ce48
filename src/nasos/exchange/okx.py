"""OKX, v5: HMAC-SHA256 in base64 over time, method, path, and a passphrase; ``GET /api/v5/account/config``.

Source: okx.com/docs-v5, "Get account configuration", "Authentication", "Error code". A key that may trade or withdraw
and is bound to no address is removed after 14 days without use. The right to trade includes transfers between the
owner's own accounts and cannot be had without; it does not count as a right to transfer here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from nasos.errors import ClockOff, UsageError
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.exchange.wire import Heard, Wire

PATH: Final = "/api/v5/account/config"
IDLE_DAYS: Final = 14
SPOT_ONLY: Final = "1"
"""Account level without futures."""

_WHY: Final[Mapping[str, Why]] = {
    "50007": Why.FROZEN,
    "50100": Why.FROZEN,
    "50101": Why.ELSEWHERE,
    "50105": Why.PASSPHRASE,
    "50110": Why.ADDRESS,
    "50111": Why.UNKNOWN,
    "50113": Why.SECRET,
    "50114": Why.RIGHTS,
    "50119": Why.UNKNOWN,
    "50120": Why.RIGHTS,
}
_CLOCK: Final = frozenset({"50102", "50112"})
_BUSY: Final = frozenset({"50001", "50005", "50011", "50013", "50026", "50061"})


class _Config(msgspec.Struct, rename="camel"):
    uid: str
    perm: str
    ip: str = ""
    label: str = ""
    acct_lv: str = ""


def probe(wire: Wire, key: ApiKey, now: datetime) -> Answer:
    """What OKX says of ``key``.

    Raises:
        ExchangeError: It cannot be told.
        UsageError: The passphrase is missing.
    """
    if key.passphrase is None:
        raise UsageError("a key of okx has a passphrase, too", "give it as the field password")
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
    headers = {
        "OK-ACCESS-KEY": key.key.reveal(),
        "OK-ACCESS-SIGN": signature(stamp, key),
        "OK-ACCESS-TIMESTAMP": stamp,
        "OK-ACCESS-PASSPHRASE": key.passphrase.reveal(),
    }
    heard = wire.ask("GET", PATH, headers, now)
    code = str(heard.body.get("code"))
    if code == "0":
        return _facts(wire, heard)
    if code in _CLOCK:
        raise ClockOff.told(wire.exchange, heard.skew)
    if code in _BUSY:
        raise wire.busy()
    if code not in _WHY:
        raise wire.strange(heard, code)
    return Refused(_WHY[code], code)


def signature(stamp: str, key: ApiKey) -> str:
    """Base64; there is neither query nor body."""
    text = f"{stamp}GET{PATH}"
    return base64.b64encode(hmac.digest(key.secret.reveal().encode(), text.encode(), hashlib.sha256)).decode()


def _facts(wire: Wire, heard: Heard) -> Facts:
    try:
        [found] = msgspec.convert(heard.body.get("data"), list[_Config])
    except (msgspec.ValidationError, ValueError):
        raise wire.strange(heard) from None
    given = {name.strip() for name in found.perm.split(",")}
    addresses = tuple(ip.strip() for ip in found.ip.split(",") if ip.strip())
    trades = "trade" in given
    granted = {
        Right.READ: bool(given & {"read_only", "trade", "withdraw"}),
        Right.TRADE: trades,
        Right.FUTURES: trades and found.acct_lv not in {"", SPOT_ONLY},
        Right.WITHDRAW: "withdraw" in given,
    }
    return Facts(
        rights=frozenset(right for right, given in granted.items() if given),
        bound=bool(addresses),
        addresses=addresses,
        account=found.uid,
        label=found.label,
        idle_days=None if addresses or not given & {"trade", "withdraw"} else IDLE_DAYS,
        skew=heard.skew,
    )
