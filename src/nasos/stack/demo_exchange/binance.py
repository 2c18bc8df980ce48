"""What Binance's public spot interface would answer, computed from the synthetic market.

Rules: ``answer`` is a pure function of path, query and time. A request that Binance refuses is refused with its
status and code. No request costs more than ``WORK`` minutes of market: very long candles therefore come in shorter
pages than 1,000, which the interface allows. Whatever needs a key is refused here, and answered in `accounts.py`.

Source: Binance spot API documentation, "Market data endpoints".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from nasos.stack.demo_exchange.market import LISTED, MINUTE, QUOTE, Candle, Pair, candles, price
from nasos.stack.demo_exchange.query import Query, Refused

WORK: Final = 60_000
"""Minutes of market that one request may cost, under a second: 1,000 candles of one hour."""
_BETWEEN_TRADES: Final = 10
"""Seconds; a trade's id is its second divided by this."""
_HALF_SPREAD: Final = 0.00005

Json = Mapping[str, object] | list[object]


def answer(path: str, query: Query, now: float) -> Json:
    """The document at ``path``, as of ``now`` (seconds since 1970).

    Raises:
        Refused: Unknown path, missing or malformed parameter, unknown symbol or interval, or no account.
    """
    version, _, name = path.partition("/v3/")
    if version == "/api" and name in _ANSWERS:
        return _ANSWERS[name](query, now)
    if needs_key(path):
        raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
    raise Refused(-1000, "Path is not simulated.", status=404)


def needs_key(path: str) -> bool:
    """Whether what stands there is an account's own (`accounts.py`)."""
    version, _, name = path.partition("/v3/")
    return path.startswith("/sapi/") or (version == "/api" and name in _NEED_A_KEY)


def _exchange_info(query: Query, now: float) -> Json:
    return {
        "timezone": "UTC",
        "serverTime": int(now * 1000),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [_listing(pair) for pair in query.pairs()],
    }


def _klines(query: Query, now: float) -> Json:
    pair, minutes = query.pair(), query.minutes()
    step = minutes * MINUTE
    count = min(query.limit(default=500), max(1, WORK // minutes))
    last = min(query.second("endTime", now), now)
    if "startTime" in query:
        first = -int(-max(query.second("startTime", now), LISTED) // step) * step
    else:
        first = max(int(last // step) - count + 1, -(-LISTED // step)) * step
    count = min(count, int(last - first) // step + 1)
    return [_kline(pair, candle, step) for candle in candles(pair, first, minutes, count, now)]


def _depth(query: Query, now: float) -> Json:
    pair = query.pair()
    middle = price(pair, now)
    levels = range(min(query.limit(default=100), 100))
    bids, asks = (
        [
            [f"{middle * (1 + side * (_HALF_SPREAD + 0.0002 * level)):.{pair.decimals}f}", _size(middle)]
            for level in levels
        ]
        for side in (-1, 1)
    )
    return {"lastUpdateId": int(now), "bids": bids, "asks": asks}


def _trades(query: Query, now: float) -> Json:
    return [
        {
            "id": number,
            "price": at,
            "qty": quantity,
            "quoteQty": f"{float(at) * float(quantity):.8f}",
            "time": number * _BETWEEN_TRADES * 1000,
            "isBuyerMaker": number % 2 == 0,
            "isBestMatch": True,
        }
        for number, at, quantity in _recent(query, now)
    ]


def _aggregate_trades(query: Query, now: float) -> Json:
    return [
        {
            "a": number,
            "p": at,
            "q": quantity,
            "f": number,
            "l": number,
            "T": number * _BETWEEN_TRADES * 1000,
            "m": number % 2 == 0,
            "M": True,
        }
        for number, at, quantity in _recent(query, now)
    ]


def _recent(query: Query, now: float) -> list[tuple[int, str, str]]:
    """Id, price and quantity of trades: from ``fromId`` or ``startTime`` on, else the latest."""
    pair, count = query.pair(), query.limit(default=500)
    last = int(min(query.second("endTime", now), now) // _BETWEEN_TRADES)
    first = last - count + 1
    if "fromId" in query:
        first = query.integer("fromId")
    elif "startTime" in query:
        first = int(-(-query.second("startTime", now) // _BETWEEN_TRADES))
    first = max(first, LISTED // _BETWEEN_TRADES)
    prices = ((number, price(pair, number * _BETWEEN_TRADES)) for number in range(first, min(first + count, last + 1)))
    return [(number, f"{at:.{pair.decimals}f}", _size(at)) for number, at in prices]


def _average_price(query: Query, now: float) -> Json:
    pair = query.pair()
    marks = [price(pair, now - MINUTE * ago) for ago in range(5)]
    return {"mins": 5, "price": f"{sum(marks) / 5:.{pair.decimals}f}", "closeTime": int(now * 1000)}


def _price_tickers(query: Query, now: float) -> Json:
    return _one_or_all(query, lambda pair: {"symbol": pair.symbol, "price": f"{price(pair, now):.{pair.decimals}f}"})


def _book_tickers(query: Query, now: float) -> Json:
    return _one_or_all(query, lambda pair: {"symbol": pair.symbol, **_top(pair, price(pair, now))})


def _day_tickers(query: Query, now: float) -> Json:
    return _one_or_all(query, lambda pair: _day(pair, now))


def _day(pair: Pair, now: float) -> dict[str, object]:
    [day] = candles(pair, int(now) // MINUTE * MINUTE - 1440 * MINUTE, 1441, 1, now)
    number = f".{pair.decimals}f"
    return {
        "symbol": pair.symbol,
        **_top(pair, day.close),
        "openPrice": f"{day.open:{number}}",
        "highPrice": f"{day.high:{number}}",
        "lowPrice": f"{day.low:{number}}",
        "lastPrice": f"{day.close:{number}}",
        "prevClosePrice": f"{day.open:{number}}",
        "lastQty": _size(day.close),
        "priceChange": f"{day.close - day.open:{number}}",
        "priceChangePercent": f"{(day.close / day.open - 1) * 100:.3f}",
        "weightedAvgPrice": f"{(day.high + day.low) / 2:{number}}",
        "volume": f"{_volume(day):.8f}",
        "quoteVolume": f"{day.turnover:.8f}",
        "count": 1440 * 6,
        "openTime": day.start * 1000,
        "closeTime": int(now * 1000),
        "firstId": day.start // _BETWEEN_TRADES,
        "lastId": int(now) // _BETWEEN_TRADES,
    }


def _top(pair: Pair, middle: float) -> dict[str, str]:
    bid, ask = (f"{middle * (1 + side * _HALF_SPREAD):.{pair.decimals}f}" for side in (-1, 1))
    return {"bidPrice": bid, "bidQty": _size(middle), "askPrice": ask, "askQty": _size(middle)}


def _kline(pair: Pair, candle: Candle, step: int) -> list[object]:
    volume, number = _volume(candle), f".{pair.decimals}f"
    return [
        candle.start * 1000,
        *(f"{value:{number}}" for value in (candle.open, candle.high, candle.low, candle.close)),
        f"{volume:.8f}",
        (candle.start + step) * 1000 - 1,
        f"{candle.turnover:.8f}",
        step // _BETWEEN_TRADES,
        f"{volume / 2:.8f}",
        f"{candle.turnover / 2:.8f}",
        "0",
    ]


def _volume(candle: Candle) -> float:
    return candle.turnover * 2 / (candle.high + candle.low)


def _size(at: float) -> str:
    """A quantity worth 5,000 of the quote asset."""
    return f"{5000 / at:.8f}"


def _listing(pair: Pair) -> dict[str, object]:
    tick = f"{10**-pair.decimals:.8f}"
    return {
        "symbol": pair.symbol,
        "status": "TRADING",
        "baseAsset": pair.base,
        "quoteAsset": QUOTE,
        **dict.fromkeys(("baseAssetPrecision", "quotePrecision", "quoteAssetPrecision"), 8),
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        **dict.fromkeys(("icebergAllowed", "ocoAllowed", "quoteOrderQtyMarketAllowed", "allowTrailingStop"), True),
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000000.0", "stepSize": "0.00001"},
            {"filterType": "NOTIONAL", "minNotional": "5.0", "maxNotional": "9000000.0", "avgPriceMins": 5},
        ],
    }


def _one_or_all(query: Query, row: Callable[[Pair], dict[str, object]]) -> Json:
    rows = [row(pair) for pair in query.pairs()]
    return rows[0] if "symbol" in query else list(rows)


_ANSWERS: Final[Mapping[str, Callable[[Query, float], Json]]] = {
    "ping": lambda _query, _now: {},
    "time": lambda _query, now: {"serverTime": int(now * 1000)},
    "exchangeInfo": _exchange_info,
    "klines": _klines,
    "uiKlines": _klines,
    "depth": _depth,
    "trades": _trades,
    "aggTrades": _aggregate_trades,
    "avgPrice": _average_price,
    "ticker/price": _price_tickers,
    "ticker/bookTicker": _book_tickers,
    "ticker/24hr": _day_tickers,
}
_NEED_A_KEY: Final = frozenset({"account", "order", "openOrders", "allOrders", "myTrades", "historicalTrades"})


__all__ = ["WORK", "answer", "needs_key"]
