"""The play that the market performs, minute by minute, on a logarithmic scale.

Rules: pure functions of a pair's index and a minute's number; all chance is a hash of such numbers. Whoever changes a
number here keeps the promise that ``tests/integration/strategy`` measures: on every five-minute candle the shipped
strategy finds an entry in some pair, and trading them all is no money machine.

Every pair performs the same play of 21 *dips*, each an hour and a half, one cue (105 minutes) after its neighbour,
so that eighteen pairs show all of it at any time:

- a dip is a plunge, half an hour at the bottom, and a leap back;
- dips 0 to 5, *flood*: the price climbs fast, too fast for the strategy to take a dip for one;
- from dip 6 on, *high water*: slower climbing, and each dip is what the strategy looks for (``ewo1``);
- one dip of 11 to 14, in turn, is the *trap*: it looks like the others, does not come back, and the price falls in
  steps by a third. Whoever bought it loses;
- the rest, *ebb*: dips, most of them shallow; the deep ones are worth a trade again (``ewolow``).
"""

from __future__ import annotations

import math
import operator
from array import array
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple


def _curve(*knots: tuple[int, float]) -> tuple[float, ...]:
    """Heights at every minute from the first knot to the last, along straight lines."""
    return tuple(
        low + (high - low) * (minute - left) / (right - left)
        for (left, low), (right, high) in pairwise(knots)
        for minute in range(left, right)
    )


_DIP: Final = 90
_DIPS: Final = 21
_PLAY: Final = _DIPS * _DIP
_CUE: Final = 105
_EBB: Final = 16
"""From this dip on most are shallow."""

_TIDE: Final = _curve((0, 0.0), (6 * _DIP - 15, 0.76), (_PLAY, 1.05))
_FALL_AFTER: Final = 36
"""Minutes of the trap: at the end of its bottom, when everybody has bought."""
_FALL: Final = _curve(
    *((0, 1.0), (20, 0.72), (60, 0.70), (70, 0.45), (120, 0.47), (130, 0.2), (180, 0.22), (190, 0.0)), (_PLAY, 0.0)
)
_PLUNGE: Final = _curve((0, 0.0), (8, -0.85), (35, -1.2), (46, 0.4), (_DIP, 0.0))
_TRAP: Final = _curve((0, 0.0), (8, -0.85), (35, -1.2), (_DIP, 0.0))


class _Play(NamedTuple):
    """What the lots decide about one performance; logarithms."""

    start: float
    top: float
    """Height of the tide if it went on to the end of the play."""
    trap: int
    """Which dip is the trap."""
    end: float
    """Where the fall ends, and the next play starts."""


def chance(index: int, number: int, *, salt: int) -> float:
    """A number from 0 to 1 that depends on nothing but the arguments (a 32-bit integer hash)."""
    mixed = (number * 0x9E3779B1 + index * 0x85EBCA77 + salt * 0xC2B2AE3D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 0xFFFFFFFF


_LOOP: Final = 4096
"""Minutes after which ripples and unrest repeat; every pair is at another place of the loop."""
_UNREST: Final = tuple(0.0003 + 0.0009 * chance(0, place, salt=1) for place in range(_LOOP))
_RIPPLES: Final = tuple(
    0.0015 * math.sin(28 * place * math.tau / _LOOP)
    + 0.001 * math.sin(89 * place * math.tau / _LOOP)
    + 0.0008 * (chance(1, place, salt=1) - 0.5)
    for place in range(_LOOP)
)


def mark(index: int, minute: int) -> tuple[float, float]:
    """Where pair ``index`` stands at the start of ``minute``, and how far it strays before the next.

    Returns:
        The natural logarithm of the price relative to the pair's level, and the fraction of the price that the
        minute's extremes lie beyond its open and close.
    """
    turn, since = divmod(minute - _CUE * index, _PLAY)
    place = (minute + 211 * index) % _LOOP
    return _performance(index, turn)[since] + _RIPPLES[place], _UNREST[place]


@lru_cache(maxsize=512)
def _performance(index: int, turn: int) -> array[float]:
    """Tide and dips together, at every minute of one play."""
    play = _play(index, turn)
    dips = [height for dip in range(_DIPS) for height in _dip(index, turn, dip, play.trap)]
    return array("d", map(operator.add, _tide(play), dips))


def _play(index: int, turn: int) -> _Play:
    start, end = (0.2 * (chance(index, turn + later, salt=2) - 0.5) for later in (0, 1))
    return _Play(start, top=0.46 + 0.03 * chance(index, turn, salt=3), trap=11 + (index + turn) % 4, end=end)


def _tide(play: _Play) -> list[float]:
    turning = play.trap * _DIP + _FALL_AFTER
    rise = [play.start + play.top * height for height in _TIDE[: turning + 1]]
    fall = [play.end + (rise[-1] - play.end) * height for height in _FALL[1 : _PLAY - turning]]
    return rise + fall


def _dip(index: int, turn: int, dip: int, trap: int) -> list[float]:
    """About 6 % deep; none while the tide falls, which has steps of its own; shallow for most of the ebb."""
    number = turn * _DIPS + dip
    depth = 0.063 + 0.008 * chance(index, number, salt=5)
    if dip >= _EBB and chance(index, number, salt=4) < 0.6:
        depth *= 0.4
    if trap < dip <= trap + 2:
        depth = 0.0
    return [depth * height for height in (_TRAP if dip == trap else _PLUNGE)]


__all__ = ["mark"]
