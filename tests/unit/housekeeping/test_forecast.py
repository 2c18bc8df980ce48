"""Days left: told from hours of measuring, never guessed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nasos.stack.housekeeping.forecast import ENDLESS_DAYS, LEAST_HOURS, Forecast, Sample, forecast, kept

GB = 1 << 30


def shrinking(hours: int, per_day: float, *, noise: int = 0, start: int = 100 * GB) -> list[Sample]:
    """One sample an hour; ``noise`` comes and goes as a growing log does."""
    return [
        Sample(hours=hour, room=int(start - per_day * hour / 24 + noise * (hour % 2)), written=hour * 1000)
        for hour in range(hours + 1)
    ]


def test_a_steady_stack_tells_its_days() -> None:
    """One GB a day, ten GB left: ten days; the audit log's own growth beside it."""
    told = forecast(shrinking(48, GB), 10 * GB)
    assert told.days == pytest.approx(10, rel=0.01)
    assert told.bytes_per_day == pytest.approx(GB, rel=0.01)
    assert told.audit_per_day == pytest.approx(24_000, rel=0.01)


def test_noise_of_other_programs_does_not_move_it_much() -> None:
    """Half a gigabyte to and fro, over a week."""
    told = forecast(shrinking(168, GB, noise=GB // 2), 10 * GB)
    assert told.days == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("hours", [0, 1, int(LEAST_HOURS) - 1])
def test_too_little_measuring_tells_nothing(hours: int) -> None:
    """None, and how long it was measured; also for no sample at all."""
    assert forecast(shrinking(hours, GB), GB) == Forecast(hours=hours)
    assert forecast([], GB) == Forecast(hours=0.0)


@pytest.mark.parametrize("per_day", [0.0, -float(GB)])
def test_a_disk_that_does_not_fill_up_has_no_days(per_day: float) -> None:
    """Measured, and no number of days."""
    told = forecast(shrinking(48, per_day), GB)
    assert told.days is None
    assert told.bytes_per_day is not None


def test_more_than_ten_years_is_no_number() -> None:
    """Nobody plans with it."""
    assert forecast(shrinking(48, GB / ENDLESS_DAYS / 2), GB).days is None


def test_a_full_disk_has_no_day_left() -> None:
    """Never negative."""
    assert forecast(shrinking(48, GB), 0).days == 0


def test_old_samples_go() -> None:
    """A week, one an hour; their order stays."""
    left = kept(shrinking(1000, GB))
    assert len(left) == 169
    assert all(a.hours < b.hours for a, b in pairwise(left))
