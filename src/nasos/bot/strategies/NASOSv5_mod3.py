"""NASOSv5_mod3: buy a sharp dip below a moving average, where the Elliott Wave Oscillator agrees.

Written anew for freqtrade's v3 interface from the published numbers of the strategy that carries this name; no line
of it was taken over. It imports freqtrade and is therefore meant to be used under terms compatible with GPL-3.0.

Rules: every column is computed from closed candles, over the whole frame at once, and only for the lengths that are
asked for (all of them only in hyperopt). No column looks ahead (``freqtrade lookahead-analysis``), and after
``startup_candle_count`` candles none depends on where the data began (``freqtrade recursive-analysis``).

A strategy is a demonstration and no advice: trailing stops look better in a backtest than in a market.
"""

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import talib.abstract as ta
from freqtrade.persistence import Trade
from freqtrade.strategy import DecimalParameter, IntParameter, IStrategy, merge_informative_pair
from pandas import DataFrame, Series

_UNSTOPPABLE = frozenset({"stop_loss", "stoploss_on_exchange", "liquidation", "force_exit", "emergency_exit"})
"""Exits that protect the account or obey a person; confirm_trade_exit never stands in their way."""


def elliott_wave_oscillator(frame: DataFrame, fast: int = 50, slow: int = 200) -> Series:
    """Distance of two exponential averages of the close, relative to the low, in units of 1/120."""
    return (ta.EMA(frame, timeperiod=fast) - ta.EMA(frame, timeperiod=slow)) / frame["low"] * 120


def hull_moving_average(close: Series, length: int) -> Series:
    """Alan Hull's average: weighted averages arranged so that most of the lag cancels."""
    ahead = 2 * ta.WMA(close, timeperiod=length // 2) - ta.WMA(close, timeperiod=length)
    return ta.WMA(ahead, timeperiod=round(length**0.5))


class NASOSv5_mod3(IStrategy):  # noqa: N801 - the name is what operators configure
    """Three entries (``ewo1``, ``ewo2``, ``ewolow``) and two exits on five-minute candles, long only."""

    INTERFACE_VERSION = 3
    can_short = False
    timeframe = "5m"
    informative_timeframe = "15m"
    process_only_new_candles = True
    # A 200-candle EMA forgets 2/201 of its past a candle: 5e-5 is left after 999, too much for a small EWO after
    # wild days (measured: 0.08 %), and 3e-7 after 1,500. Two requests of Binance either way from 1,000 on.
    startup_candle_count = 1500

    minimal_roi: ClassVar[dict[str, float]] = {"0": 0.40}
    stoploss = -0.30
    trailing_stop = True
    trailing_only_offset_is_reached = True
    trailing_stop_positive = 0.001
    trailing_stop_positive_offset = 0.03
    use_custom_stoploss = False
    use_exit_signal = True
    exit_profit_only = False
    ignore_roi_if_entry_signal = False
    order_types: ClassVar[dict[str, Any]] = {
        "entry": "limit",
        "exit": "limit",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }
    order_time_in_force: ClassVar[dict[str, str]] = {"entry": "GTC", "exit": "IOC"}

    base_nb_candles_buy = IntParameter(2, 20, default=20, space="buy")
    low_offset = DecimalParameter(0.9, 0.99, default=0.984, decimals=3, space="buy")
    low_offset_2 = DecimalParameter(0.9, 0.99, default=0.901, decimals=3, space="buy")
    ewo_high = DecimalParameter(2.0, 12.0, default=4.299, decimals=3, space="buy")
    ewo_high_2 = DecimalParameter(-6.0, 12.0, default=8.492, decimals=3, space="buy")
    ewo_low = DecimalParameter(-20.0, -8.0, default=-8.476, decimals=3, space="buy")
    rsi_buy = IntParameter(10, 80, default=80, space="buy")
    rsi_fast_buy = IntParameter(10, 50, default=27, space="buy")
    lookback_candles = IntParameter(1, 36, default=7, space="buy")
    profit_threshold = DecimalParameter(0.99, 1.05, default=1.036, decimals=3, space="buy")

    base_nb_candles_sell = IntParameter(2, 25, default=20, space="sell")
    high_offset = DecimalParameter(0.95, 1.1, default=1.01, decimals=3, space="sell")
    high_offset_2 = DecimalParameter(0.99, 1.5, default=1.142, decimals=3, space="sell")

    plot_config: ClassVar[dict[str, Any]] = {
        "main_plot": {"ema_100": {"color": "grey"}, "hma_50": {"color": "orange"}},
        "subplots": {"EWO": {"ewo": {"color": "blue"}}, "RSI": {"rsi": {}, "rsi_fast": {}, "rsi_slow": {}}},
    }

    @property
    def protections(self) -> list[dict[str, Any]]:
        """Pause a pair after a loss of 5 %, and everything after a drawdown of 20 %."""
        return [
            {
                "method": "LowProfitPairs",
                "lookback_period_candles": 60,
                "trade_limit": 1,
                "stop_duration": 60,
                "required_profit": -0.05,
            },
            {
                "method": "MaxDrawdown",
                "lookback_period_candles": 24,
                "trade_limit": 1,
                "stop_duration_candles": 12,
                "max_allowed_drawdown": 0.2,
            },
        ]

    def bot_start(self, **_: object) -> None:
        """Begin without any refused exit."""
        self._refusals: dict[str, int] = {}

    def informative_pairs(self) -> list[tuple[str, str]]:
        """Every traded pair, on fifteen minutes."""
        return [(pair, self.informative_timeframe) for pair in self.dp.current_whitelist()]

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Add all indicators in one go: column by column would fragment the frame."""
        slower = self.dp.get_pair_dataframe(metadata["pair"], self.informative_timeframe)[["date", "close"]]
        frame = merge_informative_pair(dataframe, slower, self.timeframe, self.informative_timeframe, ffill=True)
        lengths = {*self.base_nb_candles_buy.range, *self.base_nb_candles_sell.range}
        columns = {
            **{f"ema_{length}": ta.EMA(frame, timeperiod=length) for length in sorted({*lengths, 100})},
            "hma_50": hull_moving_average(frame["close"], 50),
            "sma_9": ta.SMA(frame, timeperiod=9),
            "ewo": elliott_wave_oscillator(frame),
            "rsi": ta.RSI(frame, timeperiod=20),
            "rsi_fast": ta.RSI(frame, timeperiod=5),
            "rsi_slow": ta.RSI(frame, timeperiod=25),
        }
        return pd.concat([frame, DataFrame(columns, index=frame.index)], axis=1)

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Mark the three entries; where several hold, the rarer one names the trade."""
        frame = dataframe
        average = frame[f"ema_{self.base_nb_candles_buy.value}"]
        dipped = (
            (frame["rsi_fast"] < self.rsi_fast_buy.value)
            & (frame["close"] < frame[f"ema_{self.base_nb_candles_sell.value}"] * self.high_offset.value)
            & (frame["volume"] > 0)
            & self._room_above(frame)
        )
        below, far_below = (frame["close"] < average * offset.value for offset in (self.low_offset, self.low_offset_2))
        calm = frame["rsi"] < self.rsi_buy.value
        ewo1 = dipped & below & (frame["ewo"] > self.ewo_high.value) & calm & (frame["rsi"] < 44)
        ewo2 = dipped & far_below & (frame["ewo"] > self.ewo_high_2.value) & calm & (frame["rsi"] < 25)
        ewolow = dipped & below & (frame["ewo"] < self.ewo_low.value)
        entered = ewo1 | ewo2 | ewolow
        frame.loc[entered, "enter_long"] = 1
        frame.loc[entered, "enter_tag"] = np.select([ewo2, ewolow], ["ewo2", "ewolow"], "ewo1")[entered]
        return frame

    def _room_above(self, frame: DataFrame) -> Series:
        """Has a fifteen-minute close just now stood high enough above the price to make a profit likely."""
        recent = frame[f"close_{self.informative_timeframe}"].rolling(self.lookback_candles.value).max()
        return recent >= frame["close"] * self.profit_threshold.value

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Mark the two exits: far above the average, or turning below the Hull average."""
        frame = dataframe
        average = frame[f"ema_{self.base_nb_candles_sell.value}"]
        rising = frame["rsi_fast"] > frame["rsi_slow"]
        stretched = (
            (frame["close"] > frame["sma_9"])
            & (frame["close"] > average * self.high_offset_2.value)
            & (frame["rsi"] > 50)
        )
        turning = (frame["close"] < frame["hma_50"]) & (frame["close"] > average * self.high_offset.value)
        frame.loc[(stretched | turning) & rising & (frame["volume"] > 0), "exit_long"] = 1
        return frame

    def confirm_trade_exit(  # noqa: PLR0913, PLR0917 - freqtrade prescribes the parameters
        self,
        pair: str,
        trade: Trade,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        exit_reason: str,
        current_time: datetime,
        **_: object,
    ) -> bool:
        """Refuse an exit signal in a recovering slump, and three times at most a price far below the last close."""
        frame, _updated = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        if frame.empty or exit_reason in _UNSTOPPABLE:
            return self._settled(pair)
        last = frame.iloc[-1]
        recovering = last["hma_50"] * 1.149 > last["ema_100"] and last["close"] < last["ema_100"] * 0.951
        if exit_reason == "exit_signal" and recovering:
            return False
        if rate < last["close"] * 0.98 and self._refusals.get(pair, 0) < 3:
            self._refusals[pair] = self._refusals.get(pair, 0) + 1
            return False
        return self._settled(pair)

    def _settled(self, pair: str) -> bool:
        self._refusals.pop(pair, None)
        return True
