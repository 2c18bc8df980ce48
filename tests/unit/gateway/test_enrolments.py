"""A one-time link: one person's, once, until its hour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.errors import UsageError
from nasos.gateway.enrolments import LONGEST, Enrolments
from nasos.gateway.storage import Storage
from nasos.secret import Secret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def links(tmp_path: Path) -> Iterator[Enrolments]:
    """Those of a new gateway."""
    with closing(Storage.open(tmp_path / "gateway" / "sessions.db")) as storage:
        yield Enrolments(storage)


def test_it_fits_its_person_until_it_is_taken_and_then_nobody(links: Enrolments) -> None:
    """Looking takes nothing; of two who take it one is refused."""
    link = links.offer("ann", NOW, NOW + HOUR)
    assert links.waits("ann")
    assert links.fits(link, "ann", NOW)
    assert links.fits(link, "ann", NOW)
    assert [links.take(link, "ann", NOW) for _ in range(2)] == [True, False]
    assert not links.fits(link, "ann", NOW)
    assert not links.waits("ann")


def test_it_is_nobody_elses(links: Enrolments) -> None:
    """Another's name with it, or another's link with this name: nothing, and both go on waiting."""
    ann, bob = (links.offer(name, NOW, NOW + HOUR) for name in ("ann", "bob"))
    for link, name in ((ann, "bob"), (bob, "ann"), (ann, "nobody")):
        assert not links.fits(link, name, NOW)
        assert not links.take(link, name, NOW)
    assert links.waits("ann")
    assert links.waits("bob")


def test_it_ends_and_its_person_waits_on(links: Enrolments) -> None:
    """Unused it enrolled nobody: he cannot come in before there is another one."""
    link = links.offer("ann", NOW, NOW + HOUR)
    assert links.fits(link, "ann", NOW + HOUR - timedelta(seconds=1))
    assert not links.fits(link, "ann", NOW + HOUR)
    assert not links.take(link, "ann", NOW + HOUR)
    assert links.waits("ann")


def test_the_next_one_ends_the_one_before(links: Enrolments) -> None:
    """A link that went to the wrong address is dead as soon as there is another."""
    old, new = links.offer("ann", NOW, NOW + HOUR), links.offer("ann", NOW, NOW + HOUR)
    assert not links.take(old, "ann", NOW)
    assert links.take(new, "ann", NOW)


def test_withdrawn_it_fits_nobody_and_nobody_waits(links: Enrolments) -> None:
    """Who has his second factor from elsewhere, or is gone."""
    link = links.offer("ann", NOW, NOW + HOUR)
    links.withdraw("ann")
    assert not links.fits(link, "ann", NOW)
    assert not links.waits("ann")


@pytest.mark.parametrize("text", ["", "x", "nasose_" + "a" * 49, "nasos_" + "a" * 49, "ключ", "a" * 100_000])
def test_what_is_no_link_fits_nobody(links: Enrolments, text: str) -> None:
    """Whatever is typed in its place."""
    links.offer("ann", NOW, NOW + HOUR)
    assert not links.fits(Secret(text), "ann", NOW)
    assert not links.take(Secret(text), "ann", NOW)


@pytest.mark.parametrize("length", [timedelta(0), -HOUR, LONGEST + timedelta(seconds=1)])
def test_one_without_a_sensible_end_is_not_made(links: Enrolments, length: timedelta) -> None:
    """In the past, at once, or next week."""
    with pytest.raises(UsageError):
        links.offer("ann", NOW, NOW + length)


def test_a_copy_of_the_file_opens_nothing(links: Enrolments, tmp_path: Path) -> None:
    """Neither the link nor its random part stands in it."""
    text = links.offer("ann", NOW, NOW + HOUR).reveal()
    content = b"".join(path.read_bytes() for path in (tmp_path / "gateway").iterdir())
    assert b"ann" in content
    assert text.encode() not in content
    assert text[7:50].encode() not in content
