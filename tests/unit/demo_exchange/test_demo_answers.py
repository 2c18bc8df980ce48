"""What the exchange answers, and how it refuses; no sockets."""

from __future__ import annotations

from typing import Any

import pytest

from nasos.stack.demo_exchange import ccxt_config
from nasos.stack.demo_exchange.binance import WORK, answer
from nasos.stack.demo_exchange.market import LISTED, MARKET
from nasos.stack.demo_exchange.query import INTERVALS, Query, Refused

NOW = LISTED + 200 * 86400 + 123.5


def ask(name: str, **parameters: object) -> list[Any]:
    """The rows at ``/api/v3/<name>``."""
    rows = answer(f"/api/v3/{name}", Query({key: str(value) for key, value in parameters.items()}), NOW)
    assert isinstance(rows, list)
    return rows


@pytest.mark.parametrize(
    ("path", "parameters", "code", "status"),
    [
        ("/api/v3/klines", {"interval": "5m"}, -1102, 400),
        ("/api/v3/klines", {"symbol": "", "interval": "5m"}, -1102, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT"}, -1102, 400),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "5m"}, -1121, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "7m"}, -1120, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "5m", "limit": "0"}, -1130, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "5m", "limit": "-1"}, -1100, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "5m", "startTime": "soon"}, -1100, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "5m", "endTime": "9" * 21}, -1100, 400),
        ("/api/v3/klines", {"symbol": "OAKUSDT", "interval": "5m", "startTime": "\u0661"}, -1100, 400),
        ("/api/v3/depth", {}, -1102, 400),
        ("/api/v3/ticker/price", {"symbols": '["OAKUSDT","XUSDT"]'}, -1121, 400),
        ("/api/v3/ticker/price", {"symbols": "OAKUSDT"}, -1100, 400),
        ("/api/v3/ticker/price", {"symbols": "[" * 100_000}, -1100, 400),
        ("/api/v3/account", {}, -2015, 401),
        ("/api/v3/order", {"symbol": "OAKUSDT"}, -2015, 401),
        ("/sapi/v1/capital/config/getall", {}, -2015, 401),
        ("/api/v3/nothing", {}, -1000, 404),
        ("/etc/passwd", {}, -1000, 404),
        ("", {}, -1000, 404),
    ],
)
def test_what_binance_refuses_is_refused(path: str, parameters: dict[str, str], code: int, status: int) -> None:
    """Bad parameters, unknown names and everything that needs an account."""
    with pytest.raises(Refused) as refused:
        answer(path, Query(parameters), NOW)
    assert (refused.value.code, refused.value.status) == (code, status)


@pytest.mark.parametrize("interval", INTERVALS)
def test_no_request_costs_more_than_the_limit(interval: str) -> None:
    """Pages of long candles are shorter, and still end at the running candle."""
    rows = ask("klines", symbol="FIRUSDT", interval=interval, limit=1_000_000)
    assert len(rows) <= min(1000, WORK // INTERVALS[interval])
    assert rows[-1][0] <= NOW * 1000 <= rows[-1][6]


def test_pages_meet_without_gap_or_overlap() -> None:
    """A client that asks on from the last candle it got sees every candle once."""
    since, seen = (LISTED + 777) * 1000, []
    for _ in range(3):
        rows = ask("klines", symbol="ELMUSDT", interval="5m", startTime=since, limit=7)
        seen += [row[0] for row in rows]
        since = rows[-1][0] + 1
    assert seen == [(LISTED + 900 + 300 * number) * 1000 for number in range(21)]


def test_windows_are_honoured() -> None:
    """``endTime`` ends the page; before the listing and after now there is nothing."""
    window = {"symbol": "ELMUSDT", "interval": "5m"}
    assert len(ask("klines", **window, startTime=(LISTED + 600) * 1000, endTime=(LISTED + 1500) * 1000)) == 4
    assert len(ask("klines", **window, endTime=(LISTED + 1500) * 1000)) == 6
    assert ask("klines", **window, startTime=0, limit=1)[0][0] == LISTED * 1000
    assert ask("klines", **window, endTime=(LISTED - 1) * 1000) == []
    assert ask("klines", **window, startTime=int(NOW + 600) * 1000) == []
    assert ask("klines", **window, startTime="9" * 20) == []


def test_the_book_is_a_book() -> None:
    """Bids fall, asks rise, and between the best of each lies the price."""
    for symbol in MARKET:
        book = answer("/api/v3/depth", Query({"symbol": symbol, "limit": "20"}), NOW)
        ticker = answer("/api/v3/ticker/price", Query({"symbol": symbol}), NOW)
        assert isinstance(book, dict)
        assert isinstance(ticker, dict)
        bids, asks = ([float(at) for at, _ in book[side]] for side in ("bids", "asks"))
        assert bids == sorted(bids, reverse=True)
        assert asks == sorted(asks)
        assert bids[0] < float(ticker["price"]) < asks[0]
        assert len(bids) == len(asks) == 20


def test_the_day_ticker_covers_a_day() -> None:
    """Open, range and change belong to the last 24 hours."""
    day = answer("/api/v3/ticker/24hr", Query({"symbol": "ROWANUSDT"}), NOW)
    assert isinstance(day, dict)
    assert 0 <= day["closeTime"] - day["openTime"] - 86_400_000 < 60_000
    assert float(day["lowPrice"]) <= float(day["lastPrice"]) <= float(day["highPrice"])
    assert float(day["lastPrice"]) - float(day["openPrice"]) == pytest.approx(float(day["priceChange"]))


def test_trades_continue_by_id() -> None:
    """Aggregate trades asked for by id follow those asked for by time."""
    rows = ask("aggTrades", symbol="PINEUSDT", startTime=int(NOW - 600) * 1000, limit=5)
    rows += ask("aggTrades", symbol="PINEUSDT", fromId=rows[-1]["a"] + 1, limit=5)
    assert [row["a"] for row in rows] == list(range(rows[0]["a"], rows[0]["a"] + 10))
    assert ask("aggTrades", symbol="PINEUSDT", fromId=10**15) == []


def test_the_configuration_points_at_loopback_only() -> None:
    """Every address in the exchange section is on this machine, and no shortcut around ccxt is left."""
    section = ccxt_config(4321)
    ccxt = section["ccxt_config"]
    assert isinstance(ccxt, dict)
    addresses = ccxt["urls"]["api"].values()
    assert all(str(address).startswith("http://127.0.0.1:4321/") for address in addresses)
    assert section["only_from_ccxt"] is True
    assert section["enable_ws"] is False
