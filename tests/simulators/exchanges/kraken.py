"""Kraken as documented: docs.kraken.com/api-reference ("Get API Key Info", "Spot REST authentication", "Errors").

Errors come with HTTP 200. Nonces of one key only grow. What an address that is not listed is answered with is not
documented; here: permission denied.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from simulators.exchanges.base import Key, Reply, Request, Simulator

NAMES = {
    "read": ["query-funds", "query-open-trades", "query-closed-trades"],
    "trade": ["modify-trades", "close-trades"],
    "withdraw": ["withdraw-funds"],
    "transfer": ["add-funds"],
}


def refused(text: str) -> Reply:
    """Kraken's error document."""
    return Reply(200, {"error": [text]})


@dataclass
class Kraken(Simulator):
    """``/0/private/GetApiKeyInfo``."""

    name = "kraken"
    nonces: dict[str, int] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        """See `Simulator.answer`."""
        nonce = dict(parse_qsl(request.body)).get("nonce", "")
        key = self.keys.get(request.headers.get("api-key", ""))
        if key is None or key.expired:
            return refused("EAPI:Invalid key")
        text = request.path.encode() + hashlib.sha256((nonce + request.body).encode()).digest()
        good = base64.b64encode(hmac.new(base64.b64decode(key.secret), text, hashlib.sha512).digest()).decode()
        if not hmac.compare_digest(good, request.headers.get("api-sign", "")):
            return refused("EAPI:Invalid signature")
        if int(nonce) <= self.nonces.get(key.key, 0):
            return refused("EAPI:Invalid nonce")
        self.nonces[key.key] = int(nonce)
        if (key.addresses and request.client not in key.addresses) or key.frozen:
            return refused("EGeneral:Permission denied")
        self.accepted.append(key.key)
        return Reply(200, {"error": [], "result": information(key, nonce)})


def information(key: Key, nonce: str) -> dict[str, object]:
    """The documented example, with this key's values."""
    return {
        "apiKeyName": key.label,
        "apiKey": key.key,
        "nonce": nonce,
        "nonceWindow": 0,
        "permissions": [name for right, names in NAMES.items() if right in key.rights for name in names],
        "iban": key.account,
        "validUntil": str(int(key.expires.timestamp())) if key.expires else "0",
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": str(int(key.created.timestamp())),
        "modifiedTime": str(int(key.created.timestamp())),
        "ipAllowlist": list(key.addresses),
        "lastUsed": str(int(key.created.timestamp())),
    }
