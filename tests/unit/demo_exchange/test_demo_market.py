"""The market is a function: of a pair and an instant, and of nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasos.settings import child_environment
from nasos.stack.demo_exchange import PAIRS
from nasos.stack.demo_exchange.market import LISTED, MARKET, MINUTE, Pair, candles, price, union

pairs = st.sampled_from(list(MARKET.values()))
instants = st.floats(min_value=LISTED, max_value=LISTED + 50 * 365 * 86400)
lengths = st.sampled_from([3, 5, 15, 60, 240, 1440])


def start(now: float, minutes: int) -> int:
    """The start of the candle of ``minutes`` that runs at ``now``."""
    return int(now // (minutes * MINUTE)) * minutes * MINUTE


@settings(max_examples=60, deadline=None)
@given(pair=pairs, now=instants, minutes=lengths)
def test_a_running_candle_is_the_union_of_its_minutes(pair: Pair, now: float, minutes: int) -> None:
    """Whatever the timeframe and the second, a candle holds exactly what its minutes hold."""
    [candle] = candles(pair, start(now, minutes), minutes, 1, now)
    parts = list(candles(pair, candle.start, 1, minutes, now))
    assert candle == union(parts)
    assert parts[-1].start <= now < parts[-1].start + MINUTE


@settings(max_examples=60, deadline=None)
@given(pair=pairs, now=instants)
def test_the_running_candle_ends_at_the_price(pair: Pair, now: float) -> None:
    """The close of a running candle is the ticker's price, and lies between low and high."""
    [candle] = candles(pair, start(now, 5), 5, 1, now)
    assert candle.close == price(pair, now)
    assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high


@settings(max_examples=60, deadline=None)
@given(pair=pairs, now=instants, later=st.floats(min_value=0, max_value=300))
def test_time_only_adds_to_a_candle(pair: Pair, now: float, later: float) -> None:
    """As time passes a candle keeps its open, and its range and turnover never shrink."""
    [before] = candles(pair, start(now, 5), 5, 1, now)
    [after] = candles(pair, before.start, 5, 1, now + later)
    assert after.open == before.open
    assert after.low <= before.low <= before.high <= after.high
    assert after.turnover >= before.turnover


def test_a_candle_opens_where_the_last_one_closed() -> None:
    """There are no gaps, and the five-minute and quarter-hour closes agree."""
    for pair in MARKET.values():
        five = list(candles(pair, LISTED, 5, 90, LISTED + 86400))
        fifteen = list(candles(pair, LISTED, 15, 30, LISTED + 86400))
        assert [candle.close for candle in five[:-1]] == [candle.open for candle in five[1:]]
        assert [candle.close for candle in five[2::3]] == [candle.close for candle in fifteen]


def test_nothing_is_known_of_the_future() -> None:
    """No candle begins after now."""
    pair = MARKET["OAKUSDT"]
    now = LISTED + 1000.5
    assert [candle.start for candle in candles(pair, LISTED, 5, 10, now)] == [LISTED + 300 * i for i in range(4)]
    assert not list(candles(pair, LISTED + 1200, 5, 10, now))


def test_two_processes_agree_to_the_last_digit() -> None:
    """A restart changes nothing: another interpreter, with another hash seed, tells the same story."""
    story = (
        "from nasos.stack.demo_exchange.market import LISTED, MARKET, candles\n"
        "for pair in MARKET.values():\n"
        "    print(pair.name, *candles(pair, LISTED + 40_000_200, 5, 100, LISTED + 40_010_000.25))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", story],
            env=child_environment() | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert min(map(len, told)) > 10_000


@pytest.mark.parametrize("pair", MARKET.values(), ids=lambda pair: pair.base)
def test_prices_stay_positive_and_swing_around_their_level(pair: Pair) -> None:
    """Over months the price stays within a factor of three of its level, in both directions."""
    week = [price(pair, LISTED + 86400 * 90 + 600 * number) for number in range(1008)]
    assert pair.level / 3 < min(week) < pair.level < max(week) < pair.level * 3
    assert all(round(at, pair.decimals) == at for at in week)


def test_every_pair_falls_by_a_sixth_again_and_again() -> None:
    """The market is no one-way street: within any two days every pair loses a sixth within six hours."""
    for pair in MARKET.values():
        hours = [price(pair, LISTED + 3600 * number) for number in range(48)]
        assert min(later / now for now, later in zip(hours, hours[6:], strict=False)) < 5 / 6


def test_names_are_nobodys_coins() -> None:
    """Eighteen pairs against USDT, by the names that freqtrade uses."""
    assert len(set(PAIRS)) == 18
    assert PAIRS[0] == "ALDER/USDT"
    assert all(pair.symbol == pair.name.replace("/", "") for pair in MARKET.values())
