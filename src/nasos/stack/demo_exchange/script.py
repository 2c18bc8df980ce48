"""The play that the market performs, minute by minute, on a logarithmic scale.

Rules: pure functions of a pair's index and a minute's number; all chance is a hash of such numbers. Whoever changes a
number here keeps the promise that ``tests/integration/strategy`` measures: on every five-minute candle the shipped
strategy finds an entry in some pair, and trading them all is no money machine.

Every pair performs the same play of 21 *dips*, each an hour and a half, one cue (105 minutes) after its neighbour,
so that eighteen pairs show all of it at any time:

- a dip is a plunge, half an hour at the bottom, and a leap back;
- dips 0 to 5, *flood*: the price climbs fast, too fast for the strategy to take a dip for one;
- from dip 6 on, *high water*: slower climbing, and each dip is what the strategy looks for (``ewo1``);
- one dip of 12 to 15, in turn, is the *trap*: it looks like the others, does not come back, and the price falls in
  steps by a third. Whoever bought it loses;
- the rest, *ebb*: dips, most of them shallow; the deep ones are worth a trade again (``ewolow``).
"""

from __future__ import annotations

import math
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
_EBB: Final = 17
"""The first dip that is surely after the fall."""

_TIDE: Final = _curve((0, 0.0), (6 * _DIP, 0.76), (_PLAY, 1.05))
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


def mark(index: int, minute: int) -> tuple[float, float]:
    """Where pair ``index`` stands at the start of ``minute``, and how far it strays before the next.

    Returns:
        The natural logarithm of the price relative to the pair's level, and the fraction of the price that the
        minute's extremes lie beyond its open and close.
    """
    lot = chance(index, minute, salt=1)
    ripple = 0.0015 * math.sin(minute / 23 + index) + 0.001 * math.sin(minute / 7.3 + 2 * index)
    noise = 0.0008 * (lot * 512 % 1 - 0.5)
    return _scene(index, minute) + ripple + noise, 0.0003 + 0.0009 * lot


def chance(index: int, number: int, *, salt: int) -> float:
    """A number from 0 to 1 that depends on nothing but the arguments (a 32-bit integer hash)."""
    mixed = (number * 0x9E3779B1 + index * 0x85EBCA77 + salt * 0xC2B2AE3D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 0xFFFFFFFF


def _scene(index: int, minute: int) -> float:
    """Tide and dip together."""
    turn, since = divmod(minute - _CUE * index, _PLAY)
    dip, inside = divmod(since, _DIP)
    play = _play(index, turn)
    turning = play.trap * _DIP + _FALL_AFTER
    tide = play.start + play.top * _TIDE[min(since, turning)]
    if since > turning:
        tide = play.end + (tide - play.end) * _FALL[since - turning]
    return tide + _depth(index, turn, dip, play.trap) * (_TRAP if dip == play.trap else _PLUNGE)[inside]


@lru_cache(maxsize=1024)
def _play(index: int, turn: int) -> _Play:
    start, end = (0.2 * (chance(index, turn + later, salt=2) - 0.5) for later in (0, 1))
    return _Play(
        start=start,
        top=0.46 + 0.03 * chance(index, turn, salt=3),
        trap=12 + (index + turn) % 4,
        end=end,
    )


@lru_cache(maxsize=8192)
def _depth(index: int, turn: int, dip: int, trap: int) -> float:
    """About 6 %; none while the tide falls, which has steps of its own; little for most of the ebb."""
    if trap < dip <= trap + 2:
        return 0.0
    number = turn * _DIPS + dip
    shallow = dip >= _EBB and chance(index, number, salt=4) < 0.6
    return (0.060 + 0.012 * chance(index, number, salt=5)) * (0.4 if shallow else 1.0)


__all__ = ["chance", "mark"]
