"""Clocks that jump: by an hour, to another year, backwards, across boots."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.stack.clock import LONGEST_GAP, Moment, Steady, jump, passed

START = Moment(wall=1_795_000_000.0, running=1000.0, boot="a")


def after(seconds: float, *, wall: float | None = None, boot: str = "a") -> Moment:
    """Some real seconds later; ``wall``: what the clock says went by."""
    running = START.running + seconds if boot == "a" else seconds
    return Moment(START.wall + (seconds if wall is None else wall), running, boot)


@pytest.mark.parametrize("wall", [3600.0, -3600.0, 365 * 86400.0, -50 * 365 * 86400.0])
def test_a_jump_is_seen_and_time_goes_on(wall: float) -> None:
    """Five seconds are five seconds, whatever the wall clock was set to."""
    later = after(5, wall=wall)
    assert passed(START, later) == 5
    assert jump(START, later) == wall - 5
    assert Steady(START).at(later) == START.wall + 5


@pytest.mark.parametrize("seconds", [0.0, 5.0, 7 * 86400.0])
def test_an_honest_clock_is_believed(seconds: float) -> None:
    """Also after a week of suspension: the time since boot counts it."""
    assert passed(START, after(seconds)) == seconds
    assert not jump(START, after(seconds))


def test_slewing_is_no_jump() -> None:
    """NTP pulls a clock right by less than a minute a day."""
    assert not jump(START, after(86400, wall=86400 + 43))


def test_across_a_boot_the_wall_clock_is_all_there_is() -> None:
    """An hour off is an hour; backwards, and beyond a month, is a clock without a battery."""
    assert passed(START, after(30, wall=3600, boot="b")) == 3600
    assert not jump(START, after(30, wall=3600, boot="b"))
    assert passed(START, after(30, wall=-3600, boot="b")) == 0
    assert jump(START, after(30, wall=-3600, boot="b"))
    assert passed(START, after(30, wall=400 * 86400, boot="b")) == LONGEST_GAP
    assert jump(START, after(30, wall=400 * 86400, boot="b"))


@given(st.floats(-1e12, 1e12), st.floats(0, 1e9), st.sampled_from("ab"))
def test_time_never_goes_back(wall: float, running: float, boot: str) -> None:
    """Whatever the clocks say."""
    assert passed(START, Moment(wall, running, boot)) >= 0
