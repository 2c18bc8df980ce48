"""Whether a key may be taken into use, by what is known of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from nasos.errors import UsageError
from nasos.exchange.judgement import Terms, judge
from nasos.exchange.key import Facts, Right, key_of, same
from nasos.secret import Secret

NOW = datetime(2026, 11, 23, tzinfo=UTC)
GOOD = Facts(rights=frozenset({Right.READ, Right.TRADE}), bound=True, account="1")
PLAIN = Terms()


def test_a_key_that_trades_from_here_only_has_nothing_against_it() -> None:
    """No refusal, no warning."""
    found = judge(GOOD, PLAIN, GOOD, NOW)
    assert (found.refusals, found.warnings, found.overridden) == ((), (), ())


@pytest.mark.parametrize("right", [Right.WITHDRAW, Right.TRANSFER])
def test_what_can_take_money_out_is_refused_unless_allowed_by_name(right: Right) -> None:
    """And what was allowed is told as that, not forgotten."""
    key = replace(GOOD, rights=GOOD.rights | {right})
    assert right in judge(key, PLAIN, GOOD, NOW).refusals[0]
    allowed = judge(key, Terms(moves_funds=True), GOOD, NOW)
    assert not allowed.refusals
    assert right in allowed.overridden[0]


def test_a_key_that_cannot_trade_or_read_is_refused() -> None:
    """For futures, too, where the bot trades those."""
    assert "may not trade" in judge(replace(GOOD, rights=frozenset({Right.READ})), PLAIN, GOOD, NOW).refusals[0]
    assert "balances" in judge(replace(GOOD, rights=frozenset({Right.TRADE})), PLAIN, GOOD, NOW).refusals[0]
    assert "futures" in judge(GOOD, Terms(futures=True), GOOD, NOW).refusals[0]


def test_another_account_is_refused_and_an_unknown_one_is_said() -> None:
    """The one before tells, where it can still be asked."""
    assert "another account" in judge(replace(GOOD, account="2"), PLAIN, GOOD, NOW).refusals[0]
    assert not judge(replace(GOOD, account="2"), Terms(other_account=True), GOOD, NOW).refusals
    assert "could not be told" in judge(GOOD, PLAIN, None, NOW).warnings[0]


@pytest.mark.parametrize("bound", [False, None])
def test_a_key_that_is_not_seen_bound_is_a_warning_or_by_setting_a_refusal(bound: bool | None) -> None:  # noqa: FBT001
    """Not told is not bound."""
    key = replace(GOOD, bound=bound)
    assert "address" in judge(key, PLAIN, GOOD, NOW).warnings[0]
    assert "address" in judge(key, Terms(bound=True), GOOD, NOW).refusals[0]


def test_a_near_end_an_idle_limit_and_a_wrong_clock_are_warnings() -> None:
    """And an end that is over is a refusal."""
    ends = replace(GOOD, expires=NOW + timedelta(days=5))
    assert "in 5 days" in judge(ends, PLAIN, GOOD, NOW).warnings[0]
    assert not judge(replace(GOOD, expires=NOW + timedelta(days=80)), PLAIN, GOOD, NOW).warnings
    assert "ended" in judge(replace(GOOD, expires=NOW - timedelta(days=1)), PLAIN, GOOD, NOW).refusals[0]
    assert "14 days" in judge(replace(GOOD, idle_days=14), PLAIN, GOOD, NOW).warnings[0]
    assert "clocks" in judge(replace(GOOD, skew=-4.0), PLAIN, GOOD, NOW).warnings[0]


def test_a_key_is_read_under_each_of_freqtrades_names() -> None:
    """The first that is not empty, in freqtrade's order; without one it is refused."""
    fields = {"api_key": Secret(""), "key": Secret("abcdef"), "secret": Secret("s"), "password": Secret("p")}
    key = key_of(fields)
    assert key.key == Secret("abcdef")
    assert key.passphrase == Secret("p")
    assert key.ending == "…cdef"
    for missing in ("key", "secret"):
        with pytest.raises(UsageError, match="has no"):
            key_of({name: value for name, value in fields.items() if name != missing})


def test_two_records_hold_the_same_key_whatever_else_differs() -> None:
    """By the key alone; a record without one is like no other."""
    one = {"api_key": Secret("a"), "secret": Secret("s")}
    assert same(one, {"key": Secret("a"), "secret": Secret("t"), "uid": Secret("7")})
    assert not same(one, {"api_key": Secret("b"), "secret": Secret("s")})
    assert not same({}, {})
