"""The shipped strategy's rules, one condition at a time, in the bot's own interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from fixtures.demo_exchange import STRATEGIES, probe

_DIP = {"close": 95.0, "rsi_fast": 20.0, "rsi": 40.0, "ewo": 5.0, "close_15m": 100.0}
_CRASH = {"close": 89.0, "rsi_fast": 20.0, "rsi": 24.0, "ewo": 9.0, "close_15m": 100.0}
_SLUMP = {"close": 95.0, "rsi_fast": 20.0, "rsi": 60.0, "ewo": -9.0, "close_15m": 100.0}
ENTRIES: Final[dict[str, tuple[dict[str, float], str | None]]] = {
    "a dip in a rise": (_DIP, "ewo1"),
    "a crash in a rise is named by the rarer rule": (_CRASH, "ewo2"),
    "a dip in a slump": (_SLUMP, "ewolow"),
    "calm": ({}, None),
    "no volume": (_DIP | {"volume": 0.0}, None),
    "not quite deep enough": (_DIP | {"close": 98.41, "close_15m": 110.0}, None),
    "just deep enough": (_DIP | {"close": 98.39, "close_15m": 110.0}, "ewo1"),
    "no wave": (_DIP | {"ewo": 4.29}, None),
    "not oversold": (_DIP | {"rsi_fast": 27.0}, None),
    "still strong": (_DIP | {"rsi": 44.0}, None),
    "no room above": (_DIP | {"close": 97.0}, None),
    "a crash with the strength of a dip": (_CRASH | {"rsi": 25.0}, "ewo1"),
    "a slump that is not deep": (_SLUMP | {"ewo": -8.4}, None),
}
_STRETCHED = {"close": 115.0, "rsi": 60.0, "rsi_fast": 70.0, "rsi_slow": 60.0, "hma_50": 110.0}
_TURNING = {"close": 102.0, "rsi_fast": 50.0, "rsi_slow": 45.0, "hma_50": 103.0}
EXITS: Final[dict[str, tuple[dict[str, float], bool]]] = {
    "far above the average": (_STRETCHED, True),
    "turning below the Hull average": (_TURNING, True),
    "calm": ({}, False),
    "no volume": (_STRETCHED | {"volume": 0.0}, False),
    "not far enough": (_STRETCHED | {"close": 114.0}, False),
    "far but weak": (_STRETCHED | {"rsi": 50.0}, False),
    "far but falling": (_STRETCHED | {"rsi_fast": 59.0}, False),
    "still above the Hull average": (_TURNING | {"hma_50": 101.0}, False),
    "turning but not above the average": (_TURNING | {"close": 100.9}, False),
}
_RECOVERING = {"close": 94.0, "hma_50": 90.0, "ema_100": 100.0}
CONFIRMATIONS: Final[dict[str, tuple[dict[str, float], str, float, list[bool]]]] = {
    "an exit signal in a recovering slump is refused for as long as it lasts": (
        *(_RECOVERING, "exit_signal", 94.0),
        [False] * 5,
    ),
    "an exit signal elsewhere passes": ({}, "exit_signal", 100.0, [True]),
    "a take-profit in a recovering slump passes": (_RECOVERING, "roi", 94.0, [True]),
    "a bad price is refused three times": ({}, "roi", 97.9, [False, False, False, True]),
    "and three times again for the next trade": ({}, "trailing_stop_loss", 97.9, [False] * 3 + [True] + [False]),
    "a fair price passes": ({}, "roi", 98.1, [True]),
    "the stop loss is never held up": (_RECOVERING, "stop_loss", 50.0, [True]),
    "nor is a person": (_RECOVERING, "force_exit", 50.0, [True]),
    "nor an emergency": (_RECOVERING, "emergency_exit", 50.0, [True]),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All the strategy's answers, from one run of the bot's interpreter."""
    cases: list[dict[str, object]] = [{"entry": True, "candle": candle} for candle, _ in ENTRIES.values()]
    cases += [{"exit": True, "candle": candle} for candle, _ in EXITS.values()]
    cases += [
        {"confirm": "x" * len(expected), "candle": candle, "reason": reason, "rate": rate}
        for candle, reason, rate, expected in CONFIRMATIONS.values()
    ]
    path = tmp_path_factory.mktemp("strategy") / "cases.json"
    path.write_text(json.dumps(cases))
    return probe(Path(__file__).with_name("strategy_probe.py"), str(STRATEGIES), str(path))


@pytest.mark.parametrize("name", ENTRIES)
def test_entries(said: dict[str, Any], name: str) -> None:
    """Each of the three entries needs every one of its conditions, and carries its tag."""
    assert said["entries"][list(ENTRIES).index(name)] == ENTRIES[name][1]


@pytest.mark.parametrize("name", EXITS)
def test_exits(said: dict[str, Any], name: str) -> None:
    """Each of the two exits needs every one of its conditions."""
    assert said["exits"][list(EXITS).index(name)] is EXITS[name][1]


@pytest.mark.parametrize("name", CONFIRMATIONS)
def test_confirmations(said: dict[str, Any], name: str) -> None:
    """The guard really fires, by freqtrade's present names, and never stands before a stop or a person."""
    assert said["confirmations"][list(CONFIRMATIONS).index(name)] == CONFIRMATIONS[name][3]


def test_only_what_is_needed_is_computed(said: dict[str, Any]) -> None:
    """Outside hyperopt one average of the configured length, no warning, and no column twice."""
    columns = said["columns"]
    assert len(columns) == len(set(columns))
    averages = {name for name in columns if name.startswith("ema_")}
    assert averages == {"ema_20", "ema_100"}


def test_the_interface_is_the_present_one(said: dict[str, Any]) -> None:
    """Interface 3, with both protections."""
    assert said["interface"] == 3
    assert [rule["method"] for rule in said["protections"]] == ["LowProfitPairs", "MaxDrawdown"]
