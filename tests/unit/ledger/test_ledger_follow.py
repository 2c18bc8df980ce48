from __future__ import annotations

from pathlib import Path

import pytest

from nasos.ledger import START, Ledger
from nasos.ledger.follow import Follower


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger that closes a part every dozen events."""
    return Ledger(tmp_path / "events.jsonl", "tester", limit=4000)


def targets(follower: Follower) -> list[str]:
    """What came in; the chain held."""
    news = follower.news()
    assert news.broken == ""
    return [event.target for event in news.events]


def test_every_event_is_given_once_in_order_across_parts(ledger: Ledger) -> None:
    """However often it looks, and whatever was closed meanwhile."""
    follower, seen = Follower(ledger.path, START), []
    assert targets(follower) == []
    for n in range(100):
        ledger.append("secret.write", f"app/{n}")
        if n % 7 == 0 or n % 31 == 0:
            seen += targets(follower)
    seen += targets(follower)
    assert seen == [f"app/{n}" for n in range(100)]
    assert targets(follower) == []


def test_a_restarted_follower_goes_on_from_its_place(ledger: Ledger) -> None:
    """The place is a value; also when the part that holds it was closed and compressed meanwhile."""
    for n in range(5):
        ledger.append("secret.write", f"app/{n}")
    first = Follower(ledger.path, START)
    targets(first)
    for n in range(5, 60):
        ledger.append("secret.write", f"app/{n}")
    assert targets(Follower(ledger.path, first.place)) == [f"app/{n}" for n in range(5, 60)]


def test_without_a_place_it_begins_at_the_end(ledger: Ledger) -> None:
    """Nobody is alerted to what happened before he asked."""
    ledger.append("secret.write", "old")
    follower = Follower(ledger.path, None)
    assert targets(follower) == []
    ledger.append("secret.write", "new")
    assert targets(follower) == ["new"]


def test_a_half_written_line_waits_for_its_end(ledger: Ledger) -> None:
    """A torn line is never taken for an event, and what follows it is not lost."""
    ledger.append("secret.write", "one")
    follower = Follower(ledger.path, START)
    assert targets(follower) == ["one"]
    with ledger.path.open("ab") as file:
        file.write(b'{"seq":2,"time":"20')
    assert targets(follower) == []
    ledger.append("secret.write", "two")
    assert targets(follower) == ["two"]


def test_what_was_cut_or_written_anew_is_said_once(ledger: Ledger) -> None:
    """The one who follows is the first to know; then it goes on with what is there."""
    for n in range(5):
        ledger.append("secret.write", f"app/{n}")
    follower = Follower(ledger.path, START)
    targets(follower)
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:2]))
    assert "does not follow" in follower.news().broken
    assert follower.news().broken == ""
    ledger.append("stack.up", "after")
    news = follower.news()
    assert [event.event for event in news.events] == ["ledger.damaged", "stack.up"]


def test_an_edited_event_is_noticed_by_who_saw_the_one_before(ledger: Ledger) -> None:
    """Read anew after a restart, the place's hash tells."""
    for n in range(3):
        ledger.append("secret.write", f"app/{n}")
    first = Follower(ledger.path, START)
    targets(first)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"app/2", b"app/9"))
    ledger.append("secret.write", "next")
    assert "does not follow" in Follower(ledger.path, first.place).news().broken
