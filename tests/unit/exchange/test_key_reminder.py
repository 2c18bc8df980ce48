"""Reminders that repeat as the date nears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nasos.exchange.reminder import due, news, step

AT = datetime(2026, 12, 31, 12, tzinfo=UTC)


STEPS = {
    31: None,
    30: 30,
    14.5: 30,
    14: 14,
    7: 7,
    3.2: 7,
    3: 3,
    1: 1,
    0.5: 1,
    0: 0,
    -0.5: 0,
    -1: -1,
    -1.5: -1,
    -10: -10,
}
"""Days that are left, and the reminder that is to be out by then."""


@pytest.mark.parametrize(("left", "expected"), STEPS.items())
def test_the_reminder_that_is_to_be_out(left: float, expected: int | None) -> None:
    """30, 14, 7, 3 and 1 days before, on the day, and each day after it."""
    assert step(AT, AT - timedelta(days=left)) == expected


def test_each_reminder_is_given_once_and_none_is_given_late_twice() -> None:
    """Hour by hour from long before to a week after: each step once, in order."""
    told: int | None = None
    given = []
    for hour in range(-40 * 24, 7 * 24):
        found = news(AT, AT + timedelta(hours=hour), told)
        if found is not None:
            given.append(found)
            told = found
    assert given == [30, 14, 7, 3, 1, 0, -1, -2, -3, -4, -5, -6]


def test_who_was_away_is_told_the_nearest_only() -> None:
    """A machine that slept for a month gives one reminder, not four."""
    assert news(AT, AT - timedelta(days=2), 30) == 3
    assert news(AT, AT - timedelta(days=2), 3) is None


def test_the_earlier_date_counts() -> None:
    """The exchange's end where it comes before the operator's limit."""
    since = AT - timedelta(days=80)
    assert due(since, 90, None).reason == "age"
    assert due(since, 90, AT) == due(since, 90, AT + timedelta(days=0))
    assert due(since, 90, AT).reason == "expiry"
    assert due(since, 30, AT).at == since + timedelta(days=30)
