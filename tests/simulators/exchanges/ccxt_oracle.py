"""ccxt asks the simulated exchanges about a key, a key that is gone, and a key with a wrong secret.

Run by the bot's interpreter: order on standard input, one JSON document on standard output.
"""

from __future__ import annotations

import base64
import json
import sys

import ccxt  # type: ignore[import-not-found]  # lives in the bot's environment only

CALLS = {
    "binance": "sapiGetAccountApiRestrictions",
    "bybit": "privateGetV5UserQueryApi",
    "okx": "privateGetAccountConfig",
    "kraken": "privatePostGetApiKeyInfo",
}


def outcome(name: str, origin: str, key: str, secret: str, password: str) -> str:
    """``accepted``, or ccxt's word for the refusal."""
    exchange = getattr(ccxt, name)({"apiKey": key, "secret": secret, "password": password})
    paths = {"binance": {"sapi": "/sapi/v1"}}.get(name, {})
    api = exchange.urls["api"]
    exchange.urls["api"] = {part: origin + paths.get(part, "") for part in api}
    try:
        getattr(exchange, CALLS[name])()
    except ccxt.BaseError as error:
        return type(error).__name__
    return "accepted"


def main() -> None:
    """Ask all of them."""
    order = json.load(sys.stdin)
    key, secret, password = order["key"], order["secret"], order["password"]
    wrong = base64.b64encode(b"wrong").decode()
    answers = {
        name: {
            "good": outcome(name, origin, key, secret, password),
            "gone": outcome(name, origin, "gone", secret, password),
            "secret": outcome(name, origin, key, wrong, password),
        }
        for name, origin in order["origins"].items()
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
