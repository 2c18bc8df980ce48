"""Which exchanges can be asked about a key, and which cannot.

Rules: an exchange that is not in `ASKED` is never said to have accepted a key; what is in `UNASKED` was read in its
documentation and tried with nothing. All of `ASKED` was tried against simulators made of the documented answers, with
ccxt as the judge of the signatures, and none against the exchange itself: that takes an account.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from nasos.errors import NotAsked
from nasos.exchange import binance, bybit, kraken, okx
from nasos.exchange.key import Answer, ApiKey
from nasos.exchange.wire import Wire

Probe: TypeAlias = Callable[[Wire, ApiKey, datetime], Answer]


@dataclass(frozen=True, slots=True)
class Asked:
    """An exchange that tells."""

    origin: str
    probe: Probe
    endpoint: str
    """The name of that origin in ccxt's ``urls["api"]``."""
    fields: tuple[str, ...] = ("api_key", "secret")


@dataclass(frozen=True, slots=True)
class Unasked:
    """An exchange that would tell, in a way that nobody has tried."""

    call: str
    tells: str
    fields: tuple[str, ...] = ("api_key", "secret")


_WITH_PASSPHRASE: Final = ("api_key", "secret", "password")

ASKED: Final[Mapping[str, Asked]] = {
    "binance": Asked("https://api.binance.com", binance.probe, "private"),
    "bybit": Asked("https://api.bybit.com", bybit.probe, "private"),
    "okx": Asked("https://www.okx.com", okx.probe, "rest", _WITH_PASSPHRASE),
    "kraken": Asked("https://api.kraken.com", kraken.probe, "private"),
}
"""By ccxt's name."""

UNASKED: Final[Mapping[str, Unasked]] = {
    "kucoin": Unasked("GET /api/v1/user/api-key", "rights, addresses, creation, expiry", _WITH_PASSPHRASE),
    "gate": Unasked("GET /api/v4/account/detail", "rights, addresses, creation, last use"),
    "bitget": Unasked("GET /api/v2/spot/account/info", "rights as codes, addresses", _WITH_PASSPHRASE),
    "coinbase": Unasked("GET /api/v3/brokerage/key_permissions", "rights; no addresses, no dates"),
    "htx": Unasked("GET /v2/user/api-key", "rights, addresses, days that are left"),
    "hyperliquid": Unasked("POST /info extraAgents", "until when; agents cannot withdraw", ("wallet_address",)),
    "mexc": Unasked("GET /api/v3/account", "rights"),
    "bingx": Unasked("GET /openApi/v1/account/apiPermissions", "rights"),
}
"""By ccxt's name; read in documentation, tried by nobody."""


def probe(exchange: str, origin: str | None, key: ApiKey, now: datetime) -> Answer:
    """What ``exchange`` says of ``key``; ``origin`` stands in for its own address.

    Raises:
        NotAsked: This exchange, or this kind of key, is not asked about.
        ExchangeError: It cannot be told.
    """
    asked = ASKED.get(exchange)
    if asked is None:
        found = UNASKED.get(exchange)
        would = f"; {found.call} would tell {found.tells}" if found else ""
        raise NotAsked(f"keys of {exchange} cannot be asked about{would}", "nasos rotate api --unprobed")
    if key.pair:
        raise NotAsked(f"keys of {exchange} that sign with a key pair cannot be asked about", "a key with a secret")
    return asked.probe(Wire(exchange, origin or asked.origin), key, now)
