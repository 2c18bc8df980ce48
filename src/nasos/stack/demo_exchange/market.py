"""The synthetic market: every price is a pure function of a pair and an instant.

Rules: nothing is stored and nothing is drawn at random, so a restart changes nothing and two processes agree to
the last digit. Within one minute the price runs in straight lines from its open over both extremes to its close, and
a minute opens where the one before closed. Every longer candle is the union of its minutes, so timeframes cannot
disagree, and the running candle is what has passed of it, never more.

The script (``script.py``) decides where the price stands at each full minute; this module makes a market of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from nasos.stack.demo_exchange.script import chance, logarithm

MINUTE: Final = 60
LISTED: Final = 1_577_836_800
"""The first second of the market, 2020-01-01 00:00 UTC; nothing was traded before."""
QUOTE: Final = "USDT"


@dataclass(frozen=True, slots=True)
class Pair:
    """One traded pair."""

    index: int
    """Place in the market; shifts the pair's script against its neighbours'."""
    base: str
    """Traded asset: a tree, so that nobody takes it for a real coin."""
    level: float
    """The price that everything swings around, in the quote asset."""
    decimals: int
    """Decimals of a price."""

    @property
    def symbol(self) -> str:
        """The exchange's name, ``OAKUSDT``."""
        return f"{self.base}{QUOTE}"

    @property
    def name(self) -> str:
        """Freqtrade's and ccxt's name, ``OAK/USDT``."""
        return f"{self.base}/{QUOTE}"


_LEVELS: Final = {
    "ALDER": 0.42,
    "BEECH": 0.87,
    "CEDAR": 1.3,
    "DOGWOOD": 2.6,
    "ELM": 4.1,
    "FIR": 7.5,
    "GORSE": 12.0,
    "HAZEL": 19.0,
    "IVY": 33.0,
    "JUNIPER": 58.0,
    "KAPOK": 95.0,
    "LARCH": 140.0,
    "MAPLE": 260.0,
    "NUTMEG": 410.0,
    "OAK": 730.0,
    "PINE": 1300.0,
    "QUINCE": 2400.0,
    "ROWAN": 5200.0,
}
MARKET: Final = {
    pair.symbol: pair
    for index, (base, level) in enumerate(_LEVELS.items())
    for pair in [Pair(index, base, level, decimals=5 - math.floor(math.log10(level)))]
}
"""All pairs by the exchange's name; prices have six significant digits."""


class Candle(NamedTuple):
    """What was traded from ``start`` on, up to the candle's end or to now."""

    start: int
    """First second, since 1970."""
    open: float
    high: float
    low: float
    close: float
    turnover: float
    """Traded value, in the quote asset."""


def price(pair: Pair, at: float) -> float:
    """The price at ``at``, in seconds since 1970."""
    number = math.floor(at / MINUTE)
    way = _way(pair, number, _mark(pair, number), _mark(pair, number + 1))
    return _along(way, at - number * MINUTE, pair.decimals)


def candles(pair: Pair, start: int, minutes: int, count: int, now: float) -> Iterator[Candle]:
    """Up to ``count`` candles of ``minutes`` from the aligned second ``start`` on, none that begins after ``now``.

    The work is ``minutes * count``; the caller bounds it.
    """
    first, running = start // MINUTE, math.floor(now / MINUTE)
    opened = _mark(pair, first)
    for begin in range(first, min(first + minutes * count, running + 1), minutes):
        parts = []
        for number in range(begin, min(begin + minutes, running + 1)):
            closed = _mark(pair, number + 1)
            parts.append(_minute(pair, number, _way(pair, number, opened, closed), now))
            opened = closed
        yield union(parts)


def union(parts: list[Candle]) -> Candle:
    """The one candle that holds all ``parts``, which follow each other."""
    return Candle(
        parts[0].start,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.turnover for part in parts),
    )


_Way = tuple[float, float, float, float]
"""A minute's open, the extreme at 15 s, the other extreme at 45 s, and the close."""


def _way(pair: Pair, number: int, opened: float, closed: float) -> _Way:
    unrest = 0.0003 + 0.0009 * chance(pair.index, number, salt=1)
    top = round(max(opened, closed) * (1 + unrest), pair.decimals)
    bottom = round(min(opened, closed) * (1 - unrest), pair.decimals)
    return (opened, bottom, top, closed) if closed >= opened else (opened, top, bottom, closed)


def _along(way: _Way, second: float, decimals: int) -> float:
    opened, early, late, closed = way
    if second < 15:
        exact = opened + (early - opened) * second / 15
    elif second < 45:
        exact = early + (late - early) * (second - 15) / 30
    else:
        exact = late + (closed - late) * (second - 45) / 15
    return round(exact, decimals)


def _minute(pair: Pair, number: int, way: _Way, now: float) -> Candle:
    """One minute, or what has passed of it by ``now``."""
    opened, early, late, closed = way
    second = now - number * MINUTE
    # A quiet minute turns over about 10,000, a minute of a fall six times as much.
    turnover = 4_000 + 6e6 * (abs(closed / opened - 1) + abs(late / early - 1) / 4)
    if second >= MINUTE:
        return Candle(number * MINUTE, opened, max(early, late), min(early, late), closed, turnover)
    last = _along(way, second, pair.decimals)
    seen = (opened, *((early,) if second > 15 else ()), *((late,) if second > 45 else ()), last)
    return Candle(number * MINUTE, opened, max(seen), min(seen), last, turnover * second / MINUTE)


def _mark(pair: Pair, number: int) -> float:
    """The price at the first second of minute ``number``."""
    return round(pair.level * math.exp(logarithm(pair.index, number)), pair.decimals)


__all__ = ["LISTED", "MARKET", "MINUTE", "QUOTE", "Candle", "Pair", "candles", "price", "union"]
