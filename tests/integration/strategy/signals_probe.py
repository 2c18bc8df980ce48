"""Run by the bot's interpreter: on which candles of the downloaded market does the strategy enter, as JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

from freqtrade.data.dataprovider import DataProvider
from freqtrade.data.history import load_pair_history
from freqtrade.enums import CandleType, RunMode
from NASOSv5_mod3 import NASOSv5_mod3  # type: ignore[import-not-found]  # a loose file, found by the path above

directory, pairs = Path(sys.argv[2]), json.loads(sys.argv[3])
config: dict[str, Any] = {
    "runmode": RunMode.BACKTEST,
    "datadir": directory,
    "dataformat_ohlcv": "feather",
    "candle_type_def": CandleType.SPOT,
    "exchange": {"name": "binance", "pair_whitelist": pairs},
    "stake_currency": "USDT",
    "timeframe": "5m",
}
strategy = NASOSv5_mod3(config)
strategy.dp = DataProvider(config, None)
strategy.bot_start()

entries: Counter[int] = Counter()
candles: set[int] = set()
tags: Counter[str] = Counter()
for pair in pairs:
    frame = load_pair_history(pair, "5m", directory)
    frame = strategy.populate_entry_trend(strategy.populate_indicators(frame, {"pair": pair}), {"pair": pair})
    known = frame.iloc[strategy.startup_candle_count :]
    candles.update(known["date"].astype("int64"))
    entered = known[known["enter_long"] == 1]
    entries.update(entered["date"].astype("int64"))
    tags.update(entered["enter_tag"])

json.dump({"candles": len(candles), "without": len(candles - set(entries)), "tags": tags}, sys.stdout)
