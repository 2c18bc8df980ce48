"""API keys of the demo exchange: made and deleted as at a real one's web site, checked as Binance checks them.

Rules: they open nothing of value and live in memory only, so that whoever reaches the loopback port may make some; a
signed request is accepted as Binance documents it (time, key, HMAC-SHA256 of the query). There are no orders: the one
account holds what it holds.

Source: Binance spot API documentation, "Request Security"; wallet, "Get API Key Permission".
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nasos.stack.demo_exchange.query import Query, Refused

SITE: Final = "/demo/keys"
MOST: Final = 100
_UID: Final = 1
_WINDOW: Final = 5.0
"""Seconds by which a request may be old; Binance's default."""
_NOTHING: Final = frozenset(
    {
        "/api/v3/openOrders",
        "/sapi/v1/margin/allPairs",
        "/sapi/v1/margin/isolated/allPairs",
        "/sapi/v1/spot/delist-schedule",
    }
)
"""Asked by a bot with a key, and answered with an empty list."""
_BY_KEY: Final = frozenset({"/sapi/v1/spot/delist-schedule"})
"""Asked with a key and without a signature."""


@dataclass(slots=True)
class _Key:
    secret: str
    created: float
    bound: bool
    withdraw: bool
    trade: bool
    used: int = 0


class Accounts:
    """The one account's keys; safe for many threads."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}
        self._lock = threading.Lock()

    def site(self, method: str, path: str, query: Query, now: float) -> object:
        """What the web site answers: all keys, a new one, or one less.

        Raises:
            Refused: There is no such key, or there are too many.
        """
        with self._lock:
            if method == "GET" and path == SITE:
                return [{"api_key": name, "used": key.used} for name, key in self._keys.items()]
            if method == "POST" and path == SITE:
                return self._made(query.values, now)
            if method == "DELETE" and path.removeprefix(f"{SITE}/") in self._keys:
                del self._keys[path.removeprefix(f"{SITE}/")]
                return {}
        raise Refused(-1000, "There is no such key.", status=404)

    def _made(self, wanted: Mapping[str, str], now: float) -> dict[str, str]:
        if len(self._keys) >= MOST:
            raise Refused(-1000, "Too many keys; delete one.", status=409)
        name, secret = secrets.token_hex(32), secrets.token_hex(32)
        self._keys[name] = _Key(
            secret,
            now,
            bound=wanted.get("bound", "true") == "true",
            withdraw=wanted.get("withdraw") == "true",
            trade=wanted.get("trade", "true") == "true",
        )
        return {"api_key": name, "secret": secret}

    def answer(self, path: str, name: str | None, raw: str, query: Query, now: float) -> object:
        """The answer to a signed request with the key ``name``; ``raw`` is its query as it was sent.

        Raises:
            Refused: As Binance would.
        """
        with self._lock:
            key = self._checked(name, raw, query, now) if path not in _BY_KEY else self._known(name)
            key.used += 1
        if path == "/sapi/v1/account/apiRestrictions":
            return _restrictions(key)
        if path == "/api/v3/account":
            return _account(key)
        if path in _NOTHING:
            return []
        raise Refused(-1000, "Path is not simulated.", status=404)

    def _checked(self, name: str | None, raw: str, query: Query, now: float) -> _Key:
        key = self._known(name)
        payload, _, signature = raw.rpartition("&signature=")
        if not -1.0 < now - query.integer("timestamp") / 1000 < _WINDOW:
            raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
        good = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good.encode(), signature.encode()):
            raise Refused(-1022, "Signature for this request is not valid.")
        return key

    def _known(self, name: str | None) -> _Key:
        key = self._keys.get(name or "")
        if key is None:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        return key


def _restrictions(key: _Key) -> dict[str, object]:
    return {
        "ipRestrict": key.bound,
        "createTime": int(key.created * 1000),
        "enableReading": True,
        "enableWithdrawals": key.withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": key.trade,
        "enablePortfolioMarginTrading": False,
    }


def _account(key: _Key) -> dict[str, object]:
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "canTrade": key.trade,
        "canWithdraw": key.withdraw,
        "canDeposit": True,
        "accountType": "SPOT",
        "balances": [{"asset": "USDT", "free": "1000.00000000", "locked": "0.00000000"}],
        "permissions": ["SPOT"],
        "uid": _UID,
    }
