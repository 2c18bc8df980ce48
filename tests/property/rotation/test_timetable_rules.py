"""The timetable through years of simulated nights: clocks that change twice a year, jump, or stand still."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nasos.rotation.timetable import SKEW, Line, Policy, line, spread, windows
from nasos.settings.schedule import Window

NAME = "bots/nasos/db"
ZONES = st.sampled_from(
    [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Seoul")]
)
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 4 * 366 * 24 * 60).map(lambda minutes: FIRST + timedelta(minutes=minutes))
WALL = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))
WINDOWS = st.builds(Window, WALL, WALL).filter(lambda window: window.start != window.end)
EVERY = st.integers(1, 24 * 60).map(lambda hours: timedelta(hours=hours))
POLICIES = st.builds(
    Policy,
    every=EVERY,
    window=st.none() | WINDOWS,
    jitter=st.integers(0, 240).map(lambda minutes: timedelta(minutes=minutes)),
    grace=st.integers(0, 20).map(lambda days: timedelta(days=days)),
)


def inside(window: Window, moment: datetime, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """The window that is open at this moment."""
    for start, end in windows(window, moment - timedelta(days=2), zone):
        if start > moment:
            return None
        if moment < end:
            return start, end
    return None


@given(policy=POLICIES, since=MOMENTS, later=st.integers(0, 24 * 400), zone=ZONES)
def test_what_is_due_is_old_enough_and_in_its_window(
    policy: Policy, since: datetime, later: int, zone: ZoneInfo
) -> None:
    """Never before its window is reached, never outside of it; where it is not due it says when it will be."""
    now = since + timedelta(hours=later)
    seen = line(NAME, policy, since=since, now=now, zone=zone)
    assert seen.next is not None
    if policy.window is None:
        assert seen.next >= since + policy.every
        assert seen.due == (now >= seen.next)
    elif seen.due:
        found = inside(policy.window, now, zone)
        assert found is not None
        assert found[0] > since
        assert found[1] > since + policy.every
    else:
        assert seen.next > now
        later_line = line(NAME, policy, since=since, now=seen.next, zone=zone)
        assert later_line.due


@given(
    policy=POLICIES, since=MOMENTS, zone=ZONES, ends=st.sampled_from(["rotated", "failed"]),
    steps=st.lists(st.integers(1, 60 * 24 * 3), min_size=1, max_size=60),
)  # fmt: skip
def test_in_one_window_a_secret_is_tried_once(
    policy: Policy, since: datetime, zone: ZoneInfo, steps: list[int], ends: str
) -> None:
    """However often somebody looks, and whether the try works or not; what was missed is made up for once."""
    assume(policy.window is not None)
    assert policy.window is not None
    now, tried = since, None
    runs: list[datetime] = []
    for minutes in steps:
        now += timedelta(minutes=minutes)
        for _ in range(2):  # two who look at the same moment
            if line(NAME, policy, since=since, tried=tried, now=now, zone=zone).due:
                runs.append(now)
                tried = now
                since = now if ends == "rotated" else since
    opened = [inside(policy.window, run, zone) for run in runs]
    assert None not in opened
    assert len(set(opened)) == len(opened)


@given(policy=POLICIES, since=MOMENTS, zone=ZONES, away=st.integers(1, 900))
def test_what_was_missed_is_one_run(policy: Policy, since: datetime, zone: ZoneInfo, away: int) -> None:
    """After a long time off it is due in the first window that comes, and not again right after."""
    now = since + policy.every + timedelta(days=away)
    seen = line(NAME, policy, since=since, now=now, zone=zone)
    assert seen.next is not None
    assert seen.next - now < timedelta(days=2)
    run = max(seen.next, now)
    assert not line(NAME, policy, since=run, now=run + timedelta(seconds=30), zone=zone).due


@given(policy=POLICIES, since=MOMENTS, back=st.integers(1, 10_000), zone=ZONES)
def test_a_clock_that_jumped_back_rotates_nothing_and_says_so(
    policy: Policy, since: datetime, back: int, zone: ZoneInfo
) -> None:
    """A value from the future is overdue, for somebody has to look; never due, for that would go on and on."""
    now = since - SKEW - timedelta(hours=back)
    seen = line(NAME, policy, since=since, now=now, zone=zone)
    assert (seen.due, seen.overdue, seen.next) == (False, True, None)
    assert "in the future" in seen.why


@given(policy=POLICIES, since=MOMENTS, forward=st.integers(0, 10_000), zone=ZONES)
def test_overdue_is_every_and_grace_to_the_second(
    policy: Policy, since: datetime, forward: int, zone: ZoneInfo
) -> None:
    """Also when the clock jumps forward: overdue says nothing but how old it is."""
    now = since + timedelta(hours=forward)
    assert line(NAME, policy, since=since, now=now, zone=zone).overdue == (now - since >= policy.every + policy.grace)


@given(window=WINDOWS, after=MOMENTS, zone=ZONES)
def test_each_day_has_one_window_and_none_overlap(window: Window, after: datetime, zone: ZoneInfo) -> None:
    """A year of them, with both changes of the clock: in order, apart, none lost, none much longer than it says."""
    found = windows(window, after, zone)
    days = [next(found) for _ in range(370)]
    for (start, end), (following, _) in pairwise(days):
        assert start < end <= following
        assert abs((end - start) - window.length) <= timedelta(hours=1)
        assert timedelta(hours=22) < following - start < timedelta(hours=26)


def test_the_hour_that_the_clock_jumps_over_is_made_up_for() -> None:
    """Berlin, 29 March 2026: from 2:00 to 3:00 there is nothing; a window there keeps its length."""
    berlin = ZoneInfo("Europe/Berlin")
    found = windows(Window(time(2), time(3)), datetime(2026, 3, 29, tzinfo=berlin), berlin)
    start, end = next(found)
    assert (start.hour, end.hour) == (1, 2)
    assert end - start == timedelta(hours=1)


def test_over_midnight() -> None:
    """From 23:00 to 2:00: half past one belongs to the window of the day before."""
    policy = Policy(every=timedelta(days=1), window=Window(time(23), time(2)), jitter=timedelta())
    since = datetime(2026, 1, 1, 12, tzinfo=UTC)
    midnight = datetime(2026, 1, 3, tzinfo=UTC)
    seen = [line(NAME, policy, since=since, now=midnight + timedelta(hours=hour), zone=UTC).due for hour in range(24)]
    assert [hour for hour, due in enumerate(seen) if due] == [0, 1, 23]


def test_the_spread_is_the_names_and_even() -> None:
    """Nothing has to be kept: the same for a name always, and all over the span for many."""
    most = timedelta(hours=1)
    found = [spread(f"bots/b{number}/db", most) for number in range(200)]
    assert found == [spread(f"bots/b{number}/db", most) for number in range(200)]
    assert min(found) < timedelta(minutes=3)
    assert max(found) > timedelta(minutes=57)


def test_nothing_stored_is_nothing_due() -> None:
    """A unit whose secret was never made waits for it."""
    seen: Line = line(NAME, Policy(every=timedelta(days=1)), since=None, now=datetime(2026, 1, 1, tzinfo=UTC))
    assert (seen.due, seen.overdue, seen.next) == (False, False, None)


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1), timedelta(hours=5)])
def test_a_clock_that_is_off_for_a_day_rotates_no_sooner_twice_and_no_later_for_ever(off: timedelta) -> None:
    """Wrong from each third noon to the next noon, for two months: a rotation each week or so."""
    chosen, begun = Policy(every=timedelta(days=7)), datetime(2027, 1, 1, 12, tzinfo=UTC)
    since, done = begun, []
    for look in range(60 * 48):
        true = begun + look * timedelta(minutes=30)
        now = true + (off if (true - begun).days % 3 == 0 else timedelta())
        if line("bots/nasos/db", chosen, since=since, now=now, tried=since, zone=UTC).due:
            since = now
            done.append(true)
    gaps = [later - earlier for earlier, later in pairwise(done)]
    assert len(done) >= 7
    assert min(gaps) >= timedelta(days=6)
    assert max(gaps) <= timedelta(days=9)
