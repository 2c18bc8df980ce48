"""OKX as documented: www.okx.com/docs-v5 ("Authentication", "Get account configuration", "Error Code").

Codes 50102 (time), 50105 (passphrase), 50110 (address), 50111 (key), 50113 (signature), all with HTTP 401.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

from simulators.exchanges.base import Key, Reply, Request, Simulator


def refused(code: int, text: str) -> Reply:
    """OKX's error document; the code is a text."""
    return Reply(401, {"msg": text, "code": str(code)})


class Okx(Simulator):
    """``/api/v5/account/config``."""

    name = "okx"
    window = 30.0

    def answer(self, request: Request) -> Reply:
        """See `Simulator.answer`."""
        sent = request.headers
        stamp = sent.get("ok-access-timestamp", "")
        try:
            milliseconds = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp() * 1000
        except ValueError:
            return refused(50112, "Invalid OK-ACCESS-TIMESTAMP")
        if not self.in_time(milliseconds):
            return refused(50102, "Timestamp request expired")
        key = self.keys.get(sent.get("ok-access-key", ""))
        if key is None:
            return refused(50111, "Invalid OK-ACCESS-KEY")
        text = stamp + request.method.upper() + request.path + request.body
        good = base64.b64encode(hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
        if not hmac.compare_digest(good, sent.get("ok-access-sign", "")):
            return refused(50113, "Invalid signature")
        if key.passphrase != sent.get("ok-access-passphrase"):
            return refused(50105, "Request header OK-ACCESS-PASSPHRASE incorrect.")
        if key.addresses and request.client not in key.addresses:
            return refused(50110, f"Your IP {request.client} is not included in your API key's IP whitelist.")
        if key.frozen:
            return refused(50100, "API frozen, please contact customer service.")
        self.accepted.append(key.key)
        return Reply(200, {"code": "0", "data": [configuration(key)], "msg": ""})


def configuration(key: Key) -> dict[str, object]:
    """The documented example, with this key's values."""
    names = {"read": "read_only", "trade": "trade", "withdraw": "withdraw"}
    return {
        "acctLv": "2" if "futures" in key.rights else "1",
        "acctStpMode": "cancel_maker",
        "autoLoan": False,
        "ctIsoMode": "automatic",
        "enableSpotBorrow": False,
        "greeksType": "PA",
        "ip": ",".join(key.addresses),
        "type": "0",
        "kycLv": "3",
        "label": key.label,
        "level": "Lv1",
        "levelTmp": "",
        "liquidationGear": "-1",
        "mainUid": key.account,
        "mgnIsoMode": "automatic",
        "opAuth": "1",
        "perm": ",".join(name for right, name in names.items() if right in key.rights),
        "posMode": "long_short_mode",
        "roleType": "0",
        "spotBorrowAutoRepay": False,
        "spotOffsetType": "",
        "spotRoleType": "0",
        "spotTraderInsts": [],
        "stgyType": "0",
        "traderInsts": [],
        "uid": key.account,
        "settleCcy": "USDC",
        "settleCcyList": ["USDC"],
    }
