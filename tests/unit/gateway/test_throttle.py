"""Who waits for what: attackers for longer and longer, the owner for nobody but himself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasos.gateway.throttle import ACCOUNT_LONGEST, ADDRESS_LONGEST, FORGET, FREE, Throttle

ADDRESS = "203.0.113.9"


def guess(throttle: Throttle, address: str, account: str, now: float, known: str | None = None) -> bool:
    """One attempt with a wrong password, as the gateway makes it; whether it was looked at."""
    if throttle.wait(address, account, now, known):
        return False
    throttle.failed(address, account, now, known)
    return True


def guesses(throttle: Throttle, address: str, account: str, seconds: int) -> int:
    """How many guesses of one that never stops are looked at."""
    return sum(guess(throttle, address, account, float(now)) for now in range(seconds))


def test_a_typing_error_costs_nothing_and_each_further_one_twice_the_last() -> None:
    """Three are free; then one second, two, four, up to a quarter of an hour."""
    throttle, now = Throttle(), 1000.0
    waits: list[float] = []
    for _ in range(FREE + 12):
        waits.append(throttle.wait(ADDRESS, f"user{len(waits)}", now))
        now += waits[-1]
        assert guess(throttle, ADDRESS, f"user{len(waits)}", now)
    assert waits == [0.0] * (FREE + 1) + [float(2**step) for step in range(10)] + [ADDRESS_LONGEST]


def test_one_address_gets_few_guesses() -> None:
    """One that never stops is looked at a dozen times in an hour, whatever accounts it names."""
    throttle = Throttle()
    assert guesses(throttle, ADDRESS, "ann", 3600) <= 16
    assert sum(guess(throttle, "198.51.100.1", f"user{now}", float(now)) for now in range(3600)) <= 16


def test_guesses_at_the_same_time_are_counted_before_they_are_looked_at() -> None:
    """A hundred that arrive together are not a hundred free ones."""
    throttle = Throttle()
    assert sum(guess(throttle, ADDRESS, "ann", 5.0) for _ in range(100)) == FREE + 1


def test_an_account_makes_every_new_address_wait() -> None:
    """Guesses from a thousand addresses: each waits half a minute before its first one counts."""
    throttle = Throttle()
    for number in range(200):
        now = number * 40.0
        throttle.wait(f"10.0.0.{number}", "ann", now)
        assert guess(throttle, f"10.0.0.{number}", "ann", now + ACCOUNT_LONGEST)
    assert throttle.wait("10.1.1.1", "ann", 200 * 40.0) == ACCOUNT_LONGEST
    assert throttle.wait("10.1.1.1", "bob", 200 * 40.0) == 0


def test_the_owner_at_a_new_address_is_heard_while_the_attack_goes_on() -> None:
    """A flood that never stops delays him by half a minute, once, and does not lock him out."""
    throttle = Throttle()
    asked = None
    for now in range(200):
        for number in range(20):
            guess(throttle, f"10.0.{now % 7}.{number}", "ann", float(now))
        if now >= 100 and asked is None and throttle.wait(ADDRESS, "ann", float(now)):
            asked = now
        if asked is not None and throttle.wait(ADDRESS, "ann", float(now)) == 0:
            assert now - asked <= ACCOUNT_LONGEST
            return
    pytest.fail("the owner was never heard")


@given(
    flood=st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["ann", "bob", "nobody"])), max_size=200),
    address=st.sampled_from([ADDRESS, "10.0.0.1"]),
)
@settings(deadline=None)
def test_no_flood_delays_whoever_is_known(flood: list[tuple[int, str]], address: str) -> None:
    """A living session or a known device of the account waits for its own failures alone, even behind one address."""
    throttle = Throttle()
    for now, (number, account) in enumerate(flood):
        guess(throttle, f"10.0.0.{number}", account, float(now))
        assert throttle.wait(address, "ann", float(now), known="device-1") == 0
    for _ in range(FREE + 2):
        throttle.failed(address, "ann", 1000.0, known="device-1")
    assert throttle.wait(address, "ann", 1000.0, known="device-1") > 0
    assert throttle.wait(address, "ann", 1000.0, known="device-2") == 0


def test_what_came_too_early_is_no_failure() -> None:
    """A client that repeats every tenth of a second waits no longer for it."""
    throttle = Throttle()
    for _ in range(FREE + 3):
        throttle.failed(ADDRESS, "ann", 0.0)
    assert throttle.wait(ADDRESS, "ann", 0.0) == 4.0
    assert next(now for now in range(60) if throttle.wait(ADDRESS, "ann", now / 10) == 0) == 40


@given(account=st.sampled_from(["ann", "nobody-of-this-name"]), failures=st.integers(0, 12), later=st.floats(0, 4000))
def test_an_account_that_does_not_exist_is_treated_as_one_that_does(account: str, failures: int, later: float) -> None:
    """The throttle never learns which accounts there are: no wait tells it."""
    ours, theirs = Throttle(), Throttle()
    for _ in range(failures):
        ours.failed(ADDRESS, account, 0.0)
        theirs.failed(ADDRESS, "somebody", 0.0)
    for address in (ADDRESS, "10.0.0.1"):
        assert ours.wait(address, account, later) == theirs.wait(address, "somebody", later)


def test_spelling_makes_no_other_account_and_no_other_address() -> None:
    """Upper case and spaces, a mapped IPv4 address, a zone, another host of the same IPv6 network."""
    throttle = Throttle()
    for _ in range(FREE + 2):
        throttle.failed(ADDRESS, "ann", 0.0)
        throttle.failed("2001:db8:1:2::1", "carl", 0.0)
        throttle.failed("not an address", "dora", 0.0)
    assert throttle.wait("10.9.9.9", " ANN ", 0.0) > 0
    assert throttle.wait(f"::ffff:{ADDRESS}", "new1", 0.0) > 0
    assert throttle.wait("2001:db8:1:2:ffff::9%eth0", "new2", 0.0) > 0
    assert throttle.wait("also none", "new3", 0.0) > 0
    assert throttle.wait("2001:db8:1:3::1", "new4", 0.0) == 0
    assert throttle.wait("10.9.9.9", "new5", 0.0) == 0


def test_success_takes_back_ones_own_failures_only() -> None:
    """The owner's slate is clean; an attacker's, who logs in with an account of his own, is not."""
    throttle = Throttle()
    for _ in range(FREE):
        throttle.failed(ADDRESS, "ann", 0.0)
    throttle.succeeded(ADDRESS, "ann", 1.0)
    for _ in range(FREE):
        assert guess(throttle, ADDRESS, "ann", 2.0)
    assert guess(throttle, ADDRESS, "ann", 2.0)
    for _ in range(FREE + 2):
        throttle.failed("10.0.0.1", "victim", 3.0)
        throttle.failed("10.0.0.1", "attacker", 3.0)
        throttle.succeeded("10.0.0.1", "attacker", 3.0)
    assert throttle.wait("10.0.0.1", "anybody", 3.0) > 0
    assert throttle.wait("10.0.0.2", "victim", 3.0) > 0


def test_quiet_is_forgiven() -> None:
    """An hour without a failure, and all is as at first."""
    throttle = Throttle()
    for _ in range(FREE + 9):
        throttle.failed(ADDRESS, "ann", 0.0)
    assert throttle.wait(ADDRESS, "ann", 10.0) > 0
    assert throttle.wait(ADDRESS, "ann", FORGET) == 0
    throttle.failed(ADDRESS, "ann", FORGET)
    assert throttle.wait(ADDRESS, "ann", FORGET) == 0


def test_memory_is_bounded() -> None:
    """A flood from ever new addresses at ever new accounts, with ever new devices, keeps the last ones only."""
    throttle = Throttle(room=64)
    for number in range(5000):
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        throttle.wait(address, f"user{number}" * 1000, float(number))
        throttle.failed(address, f"user{number}", float(number))
        throttle.failed(address, "ann", float(number), known=f"device{number}")
        assert len(throttle) <= 4 * 64
    assert throttle.wait("10.9.9.9", "ann", 5000.0, known="another") == 0


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["wait", "failed", "succeeded"]), st.integers(0, 3), st.sampled_from(["ann", "bob"]),
            st.floats(0, 2000), st.sampled_from([None, "device"]),
        ),
        max_size=80,
    ),
)  # fmt: skip
@settings(deadline=None)
def test_no_wait_is_ever_longer_than_the_longest(steps: list[tuple[str, int, str, float, str | None]]) -> None:
    """Whatever happened before, a wait is between nothing and a quarter of an hour, and it passes."""
    throttle, now = Throttle(room=3), 0.0
    for what, number, account, passed, known in steps:
        now += passed
        left = getattr(throttle, what)(f"10.0.0.{number}", account, now, known)
        if what == "wait":
            assert 0 <= left <= ADDRESS_LONGEST
            assert throttle.wait(f"10.0.0.{number}", account, now + left + 1e-6, known) == pytest.approx(0, abs=1e-3)
