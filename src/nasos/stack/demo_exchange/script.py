"""The play that the market performs: tides, dips and ripples, by the minute, on a logarithmic scale.

Rules: pure functions of a pair's index and a minute's number; all chance is a hash of the two. Whoever changes a
number here keeps the promise that ``tests/integration/strategy`` measures: on every five-minute candle the shipped
strategy finds an entry in some pair, and some of those entries lose.

- A *tide* takes 36 hours: flood, a slow rise to high water, then a fall in steps that each look like a dip and never
  recover. Pairs follow each other at two hours, so that seven of eighteen are always near high water.
- A *dip* comes every 90 minutes: a plunge, half an hour at the bottom, a leap back. Neighbours' dips are a
  quarter of an hour apart. Near high water they are what the strategy looks for; the last one before the fall is a
  trap, and the steps of the fall are more of them.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import Final

_Knots = tuple[tuple[int, float], ...]
"""Minute and height, to be joined by straight lines."""

_TIDE: Final = 36 * 60
_TIDE_SHIFT: Final = 2 * 60
_HIGH_WATER: Final = 26 * 60
_FLOOD: Final[_Knots] = ((0, 0.0), (570, 0.76), (_HIGH_WATER, 1.0))
_FALL: Final[_Knots] = (
    *((_HIGH_WATER, 1.0), (1620, 0.60), (1700, 0.62), (1709, 0.42), (1790, 0.44)),
    *((1799, 0.20), (1880, 0.22), (1889, 0.0), (_TIDE, 0.0)),
)
_DIP: Final = 90
_DIP_SHIFT: Final = 15
_PLUNGE: Final[_Knots] = ((0, 0.0), (8, -0.85), (35, -1.2), (46, 0.4), (_DIP, 0.0))


def logarithm(index: int, minute: int) -> float:
    """Natural logarithm of the price of pair ``index`` at the start of ``minute``, relative to its level."""
    ripple = 0.003 * math.sin(minute / 23 + index) + 0.002 * math.sin(minute / 7.3 + 2 * index)
    noise = 0.0008 * (chance(index, minute, salt=2) - 0.5)
    return _tide(index, minute) + _dip(index, minute) + ripple + noise


def chance(index: int, number: int, *, salt: int) -> float:
    """A number from 0 to 1 that depends on nothing but the arguments (a 32-bit integer hash)."""
    mixed = (number * 0x9E3779B1 + index * 0x85EBCA77 + salt * 0xC2B2AE3D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 0xFFFFFFFF


def _tide(index: int, minute: int) -> float:
    turn, since = divmod(minute - _TIDE_SHIFT * index, _TIDE)
    ebb, top, next_ebb = _turn(index, turn)
    if since <= _HIGH_WATER:
        return ebb + (top - ebb) * _between(_FLOOD, since)
    return next_ebb + (top - next_ebb) * _between(_FALL, since)


@lru_cache(maxsize=4096)
def _turn(index: int, turn: int) -> tuple[float, float, float]:
    """Where one tide begins, how high it rises, and where it ends; the rise is alike, the fall is not."""
    ebb, next_ebb = (0.24 * (chance(index, turn + later, salt=3) - 0.5) for later in (0, 1))
    return ebb, ebb + 0.36 + 0.03 * chance(index, turn, salt=4), next_ebb


def _dip(index: int, minute: int) -> float:
    count, since = divmod(minute - _DIP_SHIFT * index, _DIP)
    return _depth(index, count) * _between(_PLUNGE, since)


@lru_cache(maxsize=4096)
def _depth(index: int, count: int) -> float:
    """About 6 %; next to nothing while the tide falls, which has steps of its own."""
    start = count * _DIP + _DIP_SHIFT * index
    if _HIGH_WATER - 30 <= (start - _TIDE_SHIFT * index) % _TIDE <= 1900:
        return 0.005
    return 0.058 + 0.014 * chance(index, count, salt=5)


def _between(knots: _Knots, at: int) -> float:
    for (left, low), (right, high) in pairwise(knots):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return knots[-1][1]


__all__ = ["chance", "logarithm"]
