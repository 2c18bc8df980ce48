"""The rules of renewal under a clock of our own: for certificates of 6, 45, 64 and 90 days, and on bad days."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.tls.issuer import Advice
from nasos.tls.renewal import (
    ALERTS,
    DUE_AT,
    JITTER,
    Life,
    Step,
    Trials,
    alert,
    decide,
    due,
    pause,
)

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
LOOK = timedelta(minutes=5)
DAYS = [6, 45, 64, 90]

lives = st.builds(
    lambda hours, seed: Life(BEGIN, BEGIN + timedelta(hours=hours), str(seed)),
    st.integers(min_value=12, max_value=400 * 24),
    st.integers(),
)
parts = st.floats(min_value=-0.5, max_value=1.5)


def life(days: int, seed: str = "a") -> Life:
    """A certificate of so many days."""
    return Life(BEGIN, BEGIN + timedelta(days=days), seed)


@pytest.mark.parametrize(
    ("days", "earliest", "latest", "emergency"),
    [
        (6, timedelta(days=3, hours=18), timedelta(days=4), timedelta(days=5, hours=16, minutes=48)),
        (45, timedelta(days=28, hours=3), timedelta(days=30), timedelta(days=42, hours=18)),
        (64, timedelta(days=40), timedelta(days=42, hours=16), timedelta(days=60, hours=19, minutes=12)),
        (90, timedelta(days=56, hours=6), timedelta(days=60), timedelta(days=85, hours=12)),
    ],
)
def test_the_table_of_lifetimes(days: int, earliest: timedelta, latest: timedelta, emergency: timedelta) -> None:
    """Due at two thirds or a little before, emergency at one twentieth, written out."""
    for seed in "abcdefgh":
        assert BEGIN + earliest <= due(life(days, seed)) <= BEGIN + latest
    assert life(days).emergency == BEGIN + emergency
    assert len({due(life(days, seed)) for seed in "abcdefgh"}) == 8


@given(lives)
def test_due_is_the_same_at_every_look_and_never_late(one: Life) -> None:
    """Between two thirds less the jitter, and two thirds."""
    assert due(one) == due(one)
    assert one.begin + one.part(DUE_AT - JITTER) - LOOK <= due(one) <= one.begin + one.part(DUE_AT)


@given(lives, st.floats(0, 1), st.floats(0, 1))
def test_advice_is_followed_until_the_emergency(one: Life, first: float, second: float) -> None:
    """The instant lies in the window; one that begins too late is not waited for; a reversed one is none."""
    start, end = (one.begin + one.length * part for part in sorted((first, second)))
    chosen = due(one, Advice(start, end, end))
    assert chosen <= one.emergency
    assert start <= chosen or chosen == one.emergency
    assert chosen <= end
    if start < end:
        assert due(one, Advice(end, start, end)) == due(one)


@given(lives, st.integers(0, 50), st.booleans())
def test_a_pause_grows_and_stays_short_beside_the_lifetime(one: Life, failures: int, emergency: bool) -> None:  # noqa: FBT001
    """Never longer than a day, 1/48 of the lifetime, or the first pause; shorter in an emergency."""
    found = pause(one, failures, emergency=emergency)
    assert timedelta(minutes=5) <= found <= max(timedelta(minutes=5), min(timedelta(days=1), one.length / 48))
    assert found <= pause(one, failures + 1, emergency=emergency)
    assert pause(one, failures, emergency=True) <= pause(one, failures, emergency=False)


@given(lives, parts, st.timedeltas(timedelta(), timedelta(days=5000)))
def test_what_the_issuer_asks_for_is_respected_whatever_its_length(one: Life, part: float, asked: timedelta) -> None:
    """Also in an emergency, also beyond the end of the certificate."""
    now = one.begin + one.length * part
    decision = decide(one, now, Trials(1, now - timedelta(days=400), now + asked))
    if asked and now >= due(one):
        assert (decision.step, decision.at) == (Step.HELD, now + asked)
    assert decision.step is not Step.RENEW or not asked


@given(lives, parts)
def test_a_clock_that_was_ahead_holds_nobody_up(one: Life, part: float) -> None:
    """A try of the future is no reason to wait."""
    now = one.begin + one.length * part
    decision = decide(one, now, Trials(9, now + timedelta(days=1)))
    assert decision.step is (Step.RENEW if now >= due(one) else Step.WAIT)


def lived(one: Life, until: datetime, works: Callable[[datetime], bool]) -> tuple[list[datetime], list[Fraction]]:
    """Looks every five minutes while the CA is as ``works`` says; when it was tried, and what people heard."""
    now, trials, told = due(one) - LOOK, Trials(), None
    tries: list[datetime] = []
    alerts: list[Fraction] = []
    while now < until:
        now += LOOK
        decision = decide(one, now, trials)
        if decision.step is Step.RENEW:
            tries.append(now)
            if works(now):
                return tries, alerts
            trials = Trials(trials.failures + 1, now)
        if decision.step is not Step.WAIT and (heard := alert(one, now, told)):
            told = heard
            alerts.append(heard)
    return tries, alerts


@pytest.mark.parametrize("days", DAYS)
def test_a_ca_that_is_away_to_the_end_is_asked_patiently_and_people_hear_three_times(days: int) -> None:
    """At a third, a sixth and a twentieth left; never more than five tries in an hour."""
    one = life(days)
    tries, alerts = lived(one, one.end, lambda _now: False)
    assert alerts == list(ALERTS)
    assert all(tries[index + 5] - tries[index] >= timedelta(hours=1) for index in range(len(tries) - 5))
    in_emergency = [moment for moment in tries if moment >= one.emergency]
    assert all(later - earlier <= timedelta(hours=1, minutes=5) for earlier, later in pairwise(in_emergency))
    assert len(in_emergency) >= 10


@pytest.mark.parametrize("days", [90, 64])
def test_a_ca_that_is_away_for_weeks_costs_nothing(days: int) -> None:
    """Back after 29 days of a certificate of 90, or 20 of 64: renewed within the longest pause, before the end."""
    one = life(days)
    back = due(one) + timedelta(days=29 if days == 90 else 20)
    tries, _ = lived(one, one.end + timedelta(days=60), lambda now: now >= back)
    assert back <= tries[-1] <= back + timedelta(days=1, minutes=5) < one.end


@pytest.mark.parametrize("days", DAYS)
def test_after_a_month_without_the_ca_it_is_renewed_although_the_certificate_has_ended(days: int) -> None:
    """Nobody has to begin again by hand."""
    one = life(days)
    back = due(one) + timedelta(days=31)
    tries, _ = lived(one, back + timedelta(days=9), lambda now: now >= back)
    assert back <= tries[-1] <= back + timedelta(days=1, minutes=5)


@pytest.mark.parametrize("days", DAYS)
def test_people_hear_nothing_of_a_certificate_that_is_renewed_in_time(days: int) -> None:
    """Not at the instant when it is due either."""
    one = life(days)
    assert lived(one, one.end, lambda _now: True) == ([due(one)], [])


@given(lives, st.integers(0, 2), parts)
def test_an_alert_is_given_once(one: Life, before: int, part: float) -> None:
    """And only for a later stage than the last one."""
    now = one.begin + one.length * part
    found = alert(one, now, ALERTS[before])
    assert found is None or (found < ALERTS[before] and one.left(now) <= found)
    if found:
        assert alert(one, now, found) is None
