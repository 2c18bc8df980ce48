"""What an exit means: pure rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.bot.supervise import Again, Ended, GiveUp, Leave, RestartPolicy, decide, exit_code

POLICY = RestartPolicy()
STATUS = st.integers(-64, 255)


@given(STATUS, st.floats(0, 1e6), st.integers(0, 100))
def test_an_asked_exit_passes_its_code_on(status: int, seconds: float, failures: int) -> None:
    """Whatever came before."""
    assert decide(Ended(status, seconds, asked=True), failures, POLICY) == Leave(exit_code(status))


@given(STATUS, st.floats(0, POLICY.quick, exclude_max=True))
def test_failed_starts_wait_longer_each_time_and_end(status: int, seconds: float) -> None:
    """1, 2, 4, 8 seconds, then a person has to look; exit 0 is no exception."""
    failures, delays = 0, list[float]()
    while isinstance(step := decide(Ended(status, seconds, asked=False), failures, POLICY), Again):
        failures, delays = step.failures, [*delays, step.delay]
    assert delays == [1, 2, 4, 8]
    assert step == GiveUp(5, 3)


@given(STATUS, st.floats(POLICY.quick, 1e6), st.integers(0, 100))
def test_a_bot_that_ran_for_a_while_starts_with_a_clean_slate(status: int, seconds: float, failures: int) -> None:
    """It is started again for ever."""
    assert decide(Ended(status, seconds, asked=False), failures, POLICY) == Again(1.0, 1)


@given(st.integers(0, 200))
def test_no_delay_exceeds_a_minute(failures: int) -> None:
    """However patient the policy is."""
    step = decide(Ended(1, 0, asked=False), failures, RestartPolicy(patience=1000))
    assert isinstance(step, Again)
    assert step.delay <= 60


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3, 3), (-9, 137), (-15, 143)])
def test_exit_codes_follow_the_shell(status: int, code: int) -> None:
    """128 + N for signal N."""
    assert exit_code(status) == code
