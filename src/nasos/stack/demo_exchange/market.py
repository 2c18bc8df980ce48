"""The synthetic market: every price is a pure function of a pair and an instant.

Rules: nothing is stored and nothing is drawn at random, so a restart changes nothing and two processes agree to
the last digit. Within one minute the price runs in straight lines from its open over both extremes to its close, and
a minute opens where the one before closed. Every longer candle is the union of its minutes, so timeframes cannot
disagree, and the running candle is what has passed of it, never more.

The script (``script.py``) decides where the price stands at each full minute; this module makes a market of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from nasos.stack.demo_exchange.script import mark

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
    opened, unrest = _mark(pair, number)
    closed, _ = _mark(pair, number + 1)
    return _along(_way(opened, closed, unrest, pair.decimals), at - number * MINUTE, pair.decimals)


def candles(pair: Pair, start: int, minutes: int, count: int, now: float) -> Iterator[Candle]:
    """Up to ``count`` candles of ``minutes`` from the aligned second ``start`` on, none that begins after ``now``.

    The work is ``minutes * count``; the caller bounds it.
    """
    first, running = start // MINUTE, math.floor(now / MINUTE)
    every_minute = _minutes(pair, first, now)
    for begin in range(first, min(first + minutes * count, running + 1), minutes):
        yield union(list(islice(every_minute, min(minutes, running + 1 - begin))))


def union(parts: Sequence[Candle]) -> Candle:
    """The one candle that holds all ``parts``, which follow each other."""
    _, _, highs, lows, _, turnovers = zip(*parts, strict=True)
    first, last = parts[0], parts[-1]
    return Candle(first.start, first.open, max(highs), min(lows), last.close, sum(turnovers))


def _minutes(pair: Pair, number: int, now: float) -> Iterator[Candle]:
    """Every minute from ``number`` on, the running one as far as it has come."""
    opened, unrest = _mark(pair, number)
    for start in range(number * MINUTE, math.floor(now) + 1, MINUTE):
        closed, next_unrest = _mark(pair, start // MINUTE + 1)
        way = _way(opened, closed, unrest, pair.decimals)
        yield _whole(start, way) if start + MINUTE <= now else _part(start, way, now - start, pair.decimals)
        opened, unrest = closed, next_unrest


def _ticks(exact: float, decimals: int) -> float:
    """To the nearest tick; ``round`` does the same, ten times slower."""
    scale = _SCALES[decimals]
    return int(exact * scale + 0.5) / scale


_SCALES: Final = tuple(10.0**decimals for decimals in range(8))
_Way = tuple[float, float, float, float]
"""A minute's open, the extreme at 15 s, the other extreme at 45 s, and the close."""


def _way(opened: float, closed: float, unrest: float, decimals: int) -> _Way:
    outward = unrest if closed >= opened else -unrest
    return opened, _ticks(opened * (1 - outward), decimals), _ticks(closed * (1 + outward), decimals), closed


def _along(way: _Way, second: float, decimals: int) -> float:
    opened, early, late, closed = way
    if second < 15:
        exact = opened + (early - opened) * second / 15
    elif second < 45:
        exact = early + (late - early) * (second - 15) / 30
    else:
        exact = late + (closed - late) * (second - 45) / 15
    return _ticks(exact, decimals)


def _whole(start: int, way: _Way) -> Candle:
    opened, early, late, closed = way
    if early < late:
        return Candle(start, opened, late, early, closed, _turnover(way))
    return Candle(start, opened, early, late, closed, _turnover(way))


def _part(start: int, way: _Way, second: float, decimals: int) -> Candle:
    """What has passed of a minute by ``second``."""
    opened, early, late, _ = way
    last = _along(way, second, decimals)
    seen = (opened, *((early,) if second > 15 else ()), *((late,) if second > 45 else ()), last)
    return Candle(start, opened, max(seen), min(seen), last, _turnover(way) * second / MINUTE)


def _turnover(way: _Way) -> float:
    """A quiet minute turns over about 10,000, a minute of a plunge six times as much."""
    opened, early, late, _ = way
    return 4_000 + 5e6 * abs(late - early) / opened


def _mark(pair: Pair, number: int) -> tuple[float, float]:
    """The price at the first second of minute ``number``, and the minute's unrest."""
    logarithm, unrest = mark(pair.index, number)
    return _ticks(pair.level * math.exp(logarithm), pair.decimals), unrest


__all__ = ["LISTED", "MARKET", "MINUTE", "QUOTE", "Candle", "Pair", "candles", "price", "union"]
