"""Run by the bot's interpreter: what the shipped strategy says to hand-made frames, as one line of JSON."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

import pandas as pd
from freqtrade.data.dataprovider import DataProvider
from freqtrade.enums import CandleType, RunMode
from NASOSv5_mod3 import NASOSv5_mod3  # type: ignore[import-not-found]  # a loose file, found by the path above

warnings.simplefilter("error")

PAIR = {"pair": "OAK/USDT"}
CONFIG: dict[str, Any] = {
    "runmode": RunMode.DRY_RUN,
    "candle_type_def": CandleType.SPOT,
    "exchange": {"name": "binance", "pair_whitelist": ["OAK/USDT"]},
    "stake_currency": "USDT",
}
CASES: list[dict[str, dict[str, float]]] = json.loads(Path(sys.argv[2]).read_text())


def strategy() -> Any:
    """A strategy with a real data provider, as the bot sets it up."""
    fresh = NASOSv5_mod3(CONFIG)
    fresh.dp = DataProvider(CONFIG, None)
    fresh.bot_start()
    return fresh


def last_row(candle: dict[str, float]) -> pd.DataFrame:
    """Forty rows of calm that end in ``candle``."""
    calm = {
        "close": 100.0,
        "volume": 1.0,
        "ema_20": 100.0,
        "ema_100": 100.0,
        "sma_9": 100.0,
        "hma_50": 100.0,
        "ewo": 0.0,
        "rsi": 40.0,
        "rsi_fast": 40.0,
        "rsi_slow": 40.0,
        "close_15m": 100.0,
    }
    return pd.DataFrame([calm] * 39 + [calm | candle])


def entry(candle: dict[str, float]) -> object:
    """The tag of the entry that ``candle`` is, or None."""
    frame = strategy().populate_entry_trend(last_row(candle), PAIR)
    tagged = frame.get("enter_tag")
    signal = frame.get("enter_long")
    if signal is None or signal.iloc[-1] != 1:
        return None
    assert frame["enter_long"].sum() == 1
    return tagged.iloc[-1]


def leaving(candle: dict[str, float]) -> bool:
    """Is ``candle`` an exit."""
    frame = strategy().populate_exit_trend(last_row(candle), PAIR)
    return bool("exit_long" in frame and frame["exit_long"].iloc[-1] == 1)


def allowed(candle: dict[str, float], reason: str, rate: float, times: int) -> list[bool]:
    """The answers of confirm_trade_exit, asked ``times`` times."""
    asked = strategy()
    asked.dp._set_cached_df("OAK/USDT", "5m", last_row(candle), CandleType.SPOT)
    arguments = {"trade": None, "order_type": "limit", "amount": 1.0, "time_in_force": "IOC", "current_time": None}
    return [
        bool(asked.confirm_trade_exit(pair="OAK/USDT", exit_reason=reason, rate=rate, **arguments))
        for _ in range(times)
    ]


def indicators() -> list[str]:
    """The columns of a frame that the strategy has populated, with every warning an error."""
    asked = strategy()
    for minutes, count in ((5, 1200), (15, 400)):
        dates = pd.date_range("2024-01-01", periods=count, freq=f"{minutes}min", tz="UTC").as_unit("ms")
        close = pd.Series(range(count), dtype=float) % 17 + 100
        frame = pd.DataFrame({"date": dates, "open": close, "high": close + 1, "low": close - 1, "close": close})
        asked.dp._set_cached_df("OAK/USDT", f"{minutes}m", frame.assign(volume=1.0), CandleType.SPOT)
        asked.dp.get_pair_dataframe = lambda pair, timeframe: asked.dp.get_analyzed_dataframe(pair, timeframe)[0].copy()
    five = asked.dp.get_pair_dataframe("OAK/USDT", "5m")
    populated = asked.populate_indicators(five, PAIR)
    assert not populated.iloc[-1].isna().any()
    return list(populated.columns)


json.dump(
    {
        "entries": [entry(case["candle"]) for case in CASES if "entry" in case],
        "exits": [leaving(case["candle"]) for case in CASES if "exit" in case],
        "confirmations": [
            allowed(case["candle"], str(case["reason"]), float(str(case["rate"])), len(str(case["confirm"])))
            for case in CASES
            if "confirm" in case
        ],
        "columns": indicators(),
        "protections": strategy().protections,
        "interface": NASOSv5_mod3.INTERFACE_VERSION,
    },
    sys.stdout,
)
