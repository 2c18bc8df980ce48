"""What freqtrade's own analyses say about the strategy on the synthetic market."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fixtures.demo_exchange import STRATEGIES, Freqtrade, probe
from nasos.stack.demo_exchange import PAIRS

STRATEGY = ("--strategy", "NASOSv5_mod3")
SPAN = ("--timerange", "20240307-20240310")


@pytest.fixture(scope="module")
def trades(freqtrade: Freqtrade, week: Path) -> list[dict[str, Any]]:
    """The trades of a backtest over three days, protections on."""
    freqtrade("backtesting", *STRATEGY, *SPAN, "--enable-protections", "--cache", "none", "--export", "trades")
    [archive] = (week.parents[1] / "backtest_results").glob("*.zip")
    with zipfile.ZipFile(archive) as results:
        document = json.loads(results.read(f"{archive.stem}.json"))
    found = document["strategy"]["NASOSv5_mod3"]["trades"]
    assert isinstance(found, list)
    return found


def test_every_trade_names_its_rule(trades: list[dict[str, Any]]) -> None:
    """Tags survive to the trade, and both rules that the market plays are used."""
    assert {trade["enter_tag"] for trade in trades} == {"ewo1", "ewolow"}
    assert len(trades) > 60


def test_the_market_is_no_money_machine(trades: list[dict[str, Any]]) -> None:
    """Most trades win a little, some lose ten times as much; stops are hit."""
    lost = [trade for trade in trades if trade["profit_ratio"] < 0]
    assert len(lost) > len(trades) / 20
    assert any(trade["exit_reason"] == "stop_loss" for trade in lost)
    assert any(trade["exit_reason"] == "trailing_stop_loss" for trade in trades)


def test_an_entry_stands_on_every_candle(week: Path) -> None:
    """Whenever a bot starts, the latest closed candle of at least one pair is an entry: measured over days."""
    seen = probe(Path(__file__).with_name("signals_probe.py"), str(STRATEGIES), str(week), json.dumps(PAIRS))
    assert int(str(seen["candles"])) >= 9 * 288 - 1500
    assert seen["without"] == 0


@pytest.mark.usefixtures("week")
def test_no_indicator_looks_ahead(freqtrade: Freqtrade) -> None:
    """The lookahead analysis checks twenty signals and finds no biased entry, exit or indicator."""
    counts = ("--minimum-trade-amount", "20", "--targeted-trade-amount", "20")
    told = freqtrade("lookahead-analysis", *STRATEGY, *SPAN, "--pairs", "ELM/USDT", "FIR/USDT", *counts)
    [row] = re.findall(r"│ NASOSv5_mod3.py │(.*)│", told)
    _, biased, signals, entries, exits, indicators = (cell.strip() for cell in row.split("│"))
    assert biased == "No"
    assert int(signals) >= 20
    assert (entries, exits, indicators) == ("0", "0", "")


@pytest.mark.usefixtures("week")
@pytest.mark.parametrize("pair", ["ELM/USDT", "PINE/USDT"])
def test_indicators_forget_where_the_data_began(freqtrade: Freqtrade, pair: str) -> None:
    """The recursive analysis: within 0.1 % at our start-up count, and far from it with too few candles."""
    told = freqtrade("recursive-analysis", *STRATEGY, *SPAN, "--pairs", pair, "--startup-candle", "199", "1500")
    rows = re.findall(r"│\s*(\w+) │\s*([-\d.]+)%? │\s*([-\d.]+)%? │", told)
    variance = {name: [0.0 if text == "-" else abs(float(text)) for text in texts] for name, *texts in rows}
    assert "1500 (from strategy)" in told
    assert variance["ewo"][0] > 1
    assert max(ours for _, ours in variance.values()) <= 0.1
    assert "found lookahead" not in told
