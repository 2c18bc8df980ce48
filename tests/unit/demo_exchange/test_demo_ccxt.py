"""The contract with the real client: ccxt, from the bot's environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.demo_exchange import probe
from nasos.stack.demo_exchange import PAIRS, ccxt_config


@pytest.fixture(scope="module")
def seen(exchange: int) -> dict[str, Any]:
    """What ccxt saw."""
    return probe(Path(__file__).with_name("ccxt_probe.py"), json.dumps(ccxt_config(exchange)))


def test_ccxt_lists_the_market(seen: dict[str, Any]) -> None:
    """All pairs, active spot markets with precision and a minimum order."""
    assert seen["pairs"] == seen["tickers"] == seen["books"] == seen["last"] == sorted(PAIRS)
    assert seen["oak"] == {"active": True, "spot": True, "limits": 5.0}
    assert seen["precision"] == [0.001, 0.00001]


def test_ccxt_reads_candles(seen: dict[str, Any]) -> None:
    """A thousand five-minute candles without a gap, the running one last, the same again when asked by time."""
    candles = seen["candles"]
    assert [candle[0] - candles[0][0] for candle in candles] == [300_000 * number for number in range(1000)]
    assert 0 <= seen["time"] - candles[-1][0] < 600_000
    assert seen["page"] == candles[:10]
    assert all(candle[5] > 0 for candle in candles[:-1])


def test_timeframes_agree_through_ccxt(seen: dict[str, Any]) -> None:
    """A quarter-hour closes where its third five minutes close."""
    closes = {candle[0]: candle[4] for candle in seen["candles"]}
    finished = [candle for candle in seen["quarters"][:-1] if candle[0] + 600_000 in closes]
    assert len(finished) > 90
    assert all(closes[candle[0] + 600_000] == candle[4] for candle in finished)


def test_ccxt_reads_prices_and_trades(seen: dict[str, Any]) -> None:
    """Ticker, book and trades are there and fit each other."""
    (bid, _), (ask, _) = (side[0] for side in seen["book"])
    assert bid < ask
    assert seen["ticker"] == pytest.approx(bid, rel=0.05)
    assert seen["trades"] == 50


def test_ccxt_understands_the_refusals(seen: dict[str, Any]) -> None:
    """Unknown intervals and symbols, and everything that needs an account, become ccxt's own errors."""
    assert seen["refusals"] == {
        "interval": "BadRequest",
        "symbol": "BadSymbol",
        "order": "AuthenticationError",
        "key": "AuthenticationError",
    }
