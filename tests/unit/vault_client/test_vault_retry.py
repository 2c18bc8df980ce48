"""The retry policy: what is asked again, how often, and when it ends."""

from __future__ import annotations

import contextlib

import pytest

from nasos.errors import (
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    SecretNotFound,
    VaultError,
    VaultSealed,
    VaultStandby,
    VaultUnreachable,
)
from nasos.vault import retry
from nasos.vault.retry import ONCE, PATIENT, Retry


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Now."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Pass."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of the real one."""
    made = Clock()
    monkeypatch.setattr(retry, "time", made)
    return made


def tries(policy: Retry, error: VaultError, clock: Clock, cost: float = 0.0, good_after: int = 100) -> int:
    """How often was asked until it worked or was given up."""
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        clock.now += cost
        if asked <= good_after:
            raise error

    with contextlib.suppress(type(error)):
        policy.call(ask)
    return asked


@pytest.mark.parametrize(
    ("error", "expected"),
    [(VaultUnreachable("x"), 5), (VaultStandby("x"), 5), (RateLimited("x"), 5), (VaultSealed("x"), 3),
     (OutcomeUnknown("x"), 1), (PermissionDenied("x"), 1), (SecretNotFound("x"), 1)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_error_is_worth_so_many_tries(clock: Clock, error: VaultError, expected: int) -> None:
    """Passing troubles are asked again, an unknown outcome and a clear no never."""
    assert tries(PATIENT, error, clock) == expected


def test_the_delays_are_spread_and_end_in_time(clock: Clock) -> None:
    """Each delay is within a quarter of its nominal, and all of them together below the ceiling."""
    tries(PATIENT, VaultUnreachable("x"), clock)
    for slept, nominal in zip(clock.slept, PATIENT.delays, strict=True):
        assert 0.75 * nominal <= slept <= 1.25 * nominal
    assert clock.now <= PATIENT.ceiling


def test_slow_errors_do_not_multiply(clock: Clock) -> None:
    """After one timeout of ten seconds no further try begins."""
    assert tries(PATIENT, VaultUnreachable("x"), clock, cost=10.0) == 1


def test_it_ends_with_the_first_success(clock: Clock) -> None:
    """Two failures and a success are three tries."""
    assert tries(PATIENT, VaultUnreachable("x"), clock, good_after=2) == 3


def test_once_is_once(clock: Clock) -> None:
    """The impatient policy asks one time."""
    assert tries(ONCE, VaultUnreachable("x"), clock) == 1
    assert clock.slept == []
