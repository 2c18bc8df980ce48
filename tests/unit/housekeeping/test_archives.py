"""Names of what was put aside, and which of it has to go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nasos.stack.housekeeping import archives

NOW = datetime(2026, 11, 23, 6, 50, 40, tzinfo=UTC)
YEAR = timedelta(days=365)


def names(count: int, *, start: datetime = NOW - timedelta(days=100), step: int = 1) -> list[str]:
    """Archives of one log, one each ``step`` days."""
    made: list[str] = []
    for number in range(count):
        moment = start + timedelta(days=number * step)
        made.append(archives.following(archives.of(made, "audit.log"), "audit.log", moment) + ".zst")
    return made


def gone(
    made: list[str], *, size: int = 10, keep: int = 10_000, age: timedelta = YEAR, now: datetime | None = NOW
) -> list[str]:
    """Names that have to go."""
    found = archives.of(made, "audit.log")
    return [each.name for each in archives.expired(found, dict.fromkeys(made, size), keep, age, now)]


def test_the_number_is_the_order_whatever_the_clock_said() -> None:
    """Rotated while the clock stood a year back: still the newest."""
    made = names(2)
    made.append(archives.following(archives.of(made, "audit.log"), "audit.log", NOW - YEAR))
    assert [each.number for each in archives.of(reversed(made), "audit.log")] == [1, 2, 3]
    assert archives.of(made, "audit.log")[-1].at == NOW - YEAR


@pytest.mark.parametrize(
    "name",
    [
        "audit.log",
        "audit.log.1",
        "audit.log-1-20261123T065040Z",
        "audit.log-000001-20261323T065040Z",
        "other.log-000001-20261123T065040Z",
        "audit.log-000001-20261123T065040Z.gz",
        "x-audit.log-000001-20261123T065040Z",
    ],
)
def test_what_is_not_ours_is_not_touched(name: str) -> None:
    """The live log, another's rotation, another log's archive."""
    assert archives.parse(name, "audit.log") is None
    assert not archives.is_leftover(name, "audit.log")


def test_left_overs_are_ours_only() -> None:
    """A half-compressed file and a fresh one that was not put in place, of this log."""
    assert archives.is_leftover(".audit.log.new", "audit.log")
    assert archives.is_leftover(".audit.log-000001-20261123T065040Z.zst.0a1b2c3d.tmp", "audit.log")
    assert not archives.is_leftover(".access.log-000001-20261123T065040Z.zst.0a1b2c3d.tmp", "audit.log")
    assert not archives.is_leftover(".nginx.conf.0a1b2c3d.tmp", "audit.log")


def test_the_oldest_goes_first_by_size() -> None:
    """The newest that fit are kept."""
    made = names(10)
    assert sorted(gone(made, keep=35)) == made[:7]


def test_the_oldest_goes_by_age() -> None:
    """Older than what is kept, by the time in the name."""
    made = names(10, step=10)
    assert sorted(gone(made, age=timedelta(days=50))) == made[:5]


def test_a_clock_that_nobody_trusts_removes_nothing_by_age() -> None:
    """A year ahead for a moment must not cost the archive; the size still counts."""
    made = names(10)
    assert len(gone(made, now=NOW + 10 * YEAR)) == 9
    assert gone(made, now=None) == []
    assert len(gone(made, now=None, keep=35)) == 7


def test_the_newest_is_always_kept() -> None:
    """Numbers go on from it."""
    made = names(1)
    assert gone(made, keep=1, age=timedelta(0), now=NOW + YEAR) == []


def test_what_is_not_compressed_yet_never_goes() -> None:
    """Its writer may still write to it."""
    made = [name.removesuffix(".zst") for name in names(5)]
    assert gone(made, keep=0, age=timedelta(0)) == []
