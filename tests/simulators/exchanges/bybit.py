"""Bybit as documented: bybit-exchange.github.io/docs/v5 ("Get API Key Information", "Integration Guidance", errors).

The documented example's fields; codes 10002 (time), 10003 (key), 10004 (signature), 10010 (address), 33004 (expired).
"""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from simulators.exchanges.base import Key, Reply, Request, Simulator


class Bybit(Simulator):
    """``/v5/user/query-api``."""

    name = "bybit"

    def answer(self, request: Request) -> Reply:
        """See `Simulator.answer`."""
        sent, parts = request.headers, urlsplit(request.path)
        stamp, window = sent.get("x-bapi-timestamp", "0"), sent.get("x-bapi-recv-window", "5000")
        if not self.in_time(float(stamp)):
            return self._said(10002, "invalid request, please check your server timestamp or recv_window param.")
        key = self.keys.get(sent.get("x-bapi-api-key", ""))
        if key is None:
            return self._said(10003, "API key is invalid.")
        text = stamp + key.key + window + parts.query
        good = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, sent.get("x-bapi-sign", "")):
            return self._said(10004, "error sign! please check your signature generation algorithm.")
        if key.expired:
            return self._said(33004, "Your api key has expired.")
        if key.addresses and request.client not in key.addresses:
            return self._said(10010, "Unmatched IP, please check your API key's bound IP addresses.")
        if key.frozen:
            return self._said(10008, "User has been banned.")
        self.accepted.append(key.key)
        return self._said(0, "", information(key))

    def _said(self, code: int, text: str, result: dict[str, object] | None = None) -> Reply:
        document = {"retCode": code, "retMsg": text, "result": result or {}, "retExtInfo": {}}
        return Reply(200, document | {"time": int(self.now() * 1000)})


def information(key: Key) -> dict[str, object]:
    """The documented example, with this key's values."""
    rights = key.rights
    wallet = ["AccountTransfer", "SubMemberTransfer"] * ("transfer" in rights) + ["Withdraw"] * ("withdraw" in rights)
    futures = "futures" in rights
    return {
        "id": "13770661",
        "note": key.label,
        "apiKey": key.key,
        "readOnly": 0 if rights - {"read"} else 1,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if futures else [],
            "Spot": ["SpotTrade"] if "trade" in rights else [],
            "Wallet": wallet,
            "Options": [],
            "Derivatives": ["DerivativesTrade"] if futures else [],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": [],
            "NFT": [],
            "Affiliate": [],
            "Earn": [],
        },
        "ips": list(key.addresses) or ["*"],
        "type": 1,
        "deadlineDay": 66 if key.expires else -2,
        "expiredAt": key.expires.strftime("%Y-%m-%dT%H:%M:%SZ") if key.expires else "1970-01-01T00:00:00Z",
        "createdAt": key.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "unified": 0,
        "uta": 0,
        "userID": int(key.account),
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    }
