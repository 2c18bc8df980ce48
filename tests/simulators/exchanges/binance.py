"""Binance as documented: developers.binance.com/docs, spot ("Request Security", "Errors") and wallet.

"Get API Key Permission" of the wallet: the example's fields. The order of the checks is not documented; here: time,
key, address, signature.
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, urlsplit

from simulators.exchanges.base import Key, Reply, Request, Simulator


def refused(status: int, code: int, text: str) -> Reply:
    """Binance's error document."""
    return Reply(status, {"code": code, "msg": text})


class Binance(Simulator):
    """``/sapi/v1/account/apiRestrictions`` and ``/api/v3/account``."""

    name = "binance"

    def answer(self, request: Request) -> Reply:
        """See `Simulator.answer`."""
        parts = urlsplit(request.path)
        payload, _, signature = parts.query.rpartition("&signature=")
        sent = dict(parse_qsl(payload))
        if "timestamp" not in sent or not signature:
            return refused(400, -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        if not self.in_time(float(sent["timestamp"])):
            return refused(400, -1021, "Timestamp for this request is outside of the recvWindow.")
        key = self.keys.get(request.headers.get("x-mbx-apikey", ""))
        if key is None or (key.addresses and request.client not in key.addresses) or "read" not in key.rights:
            return refused(401, -2015, "Invalid API-key, IP, or permissions for action.")
        if key.frozen:
            return refused(400, -2017, "API Keys are locked on this account.")
        good = hmac.new(key.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, signature):
            return refused(400, -1022, "Signature for this request is not valid.")
        self.accepted.append(key.key)
        if parts.path == "/sapi/v1/account/apiRestrictions":
            return Reply(200, restrictions(key))
        if parts.path == "/api/v3/account":
            return Reply(200, {"makerCommission": 15, "canTrade": True, "balances": [], "uid": int(key.account)})
        return refused(404, -1000, "not simulated")


def restrictions(key: Key) -> dict[str, object]:
    """The documented example, with this key's values."""
    document: dict[str, object] = {
        "ipRestrict": bool(key.addresses),
        "createTime": int(key.created.timestamp() * 1000),
        "enableReading": "read" in key.rights,
        "enableWithdrawals": "withdraw" in key.rights,
        "enableInternalTransfer": "transfer" in key.rights,
        "enableMargin": False,
        "enableFutures": "futures" in key.rights,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": "trade" in key.rights,
        "enablePortfolioMarginTrading": True,
    }
    if key.expires:
        document["tradingAuthorityExpirationTime"] = int(key.expires.timestamp() * 1000)
    return document
