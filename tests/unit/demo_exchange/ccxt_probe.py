"""Run by the bot's interpreter: what the real ccxt makes of the demo exchange, as one line of JSON."""

from __future__ import annotations

import json
import sys

import ccxt  # type: ignore[import-not-found]  # lives in the bot's environment only

section = json.loads(sys.argv[1])
binance = ccxt.binance(section["ccxt_config"] | {"enableRateLimit": False})


def refusal(method: str, *arguments: object) -> str:
    """The class of the error that a call ends in."""
    try:
        getattr(binance, method)(*arguments)
    except ccxt.BaseError as error:
        return type(error).__name__
    return "accepted"


markets = binance.load_markets()
oak = markets["OAK/USDT"]
candles = binance.fetch_ohlcv("OAK/USDT", "5m", limit=1000)
since = candles[0][0]
json.dump(
    {
        "pairs": sorted(markets),
        "oak": {"active": oak["active"], "spot": oak["spot"], "limits": oak["limits"]["cost"]["min"]},
        "precision": [oak["precision"]["price"], oak["precision"]["amount"]],
        "time": binance.fetch_time(),
        "candles": candles,
        "page": binance.fetch_ohlcv("OAK/USDT", "5m", since=since, limit=10),
        "quarters": binance.fetch_ohlcv("OAK/USDT", "15m", limit=100),
        "ticker": binance.fetch_ticker("OAK/USDT")["last"],
        "tickers": sorted(binance.fetch_tickers()),
        "books": sorted(binance.fetch_bids_asks()),
        "last": sorted(binance.fetch_last_prices()),
        "book": [binance.fetch_order_book("OAK/USDT", 5)[side] for side in ("bids", "asks")],
        "trades": len(binance.fetch_trades("OAK/USDT", limit=50)),
        "refusals": {
            "interval": refusal("fetch_ohlcv", "OAK/USDT", "1M"),
            "symbol": refusal("publicGetDepth", {"symbol": "BTCUSDT"}),
            "order": refusal("create_order", "OAK/USDT", "market", "buy", 1),
            "key": refusal("publicPostUserDataStream"),
        },
    },
    sys.stdout,
)
