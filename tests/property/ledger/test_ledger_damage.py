"""Whatever is done to whatever ledger is found, and called what it was."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from nasos.ledger import START, Event, Examination, Head, Kind, Outcome, Remembered
from nasos.ledger.chain import examine
from nasos.ledger.damage import Line
from nasos.ledger.event import digest, encode

PATH = Path("events.jsonl")
ANY_PACE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure; 3,000 examples of each passed once."""
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
CONTENT = st.tuples(TEXT, TEXT, st.sampled_from(Outcome), st.dictionaries(TEXT, TEXT, max_size=3))


def built(contents: Sequence[tuple[str, str, Outcome, dict[str, str]]], after: Head = START) -> list[bytes]:
    """The lines of an honest ledger, or of its continuation."""
    lines, seq, prev = [], after.seq, after.hash
    for event, target, outcome, detail in contents:
        seq += 1
        said = Event(
            seq=seq, time=f"2026-11-22T12:00:00.{seq:06d}+00:00", actor="tester", event=f"e.{event}", target=target,
            outcome=outcome, detail=detail, host="here", prev=prev,
        )  # fmt: skip
        lines.append(encode(said))
        prev = digest(lines[-1])
    return lines


def head_of(lines: Sequence[bytes]) -> Head:
    """The remembered end of an honest ledger."""
    before = digest(lines[-2]) if len(lines) > 1 else START.hash
    return Head(len(lines), digest(lines[-1]), before)


def looked_at(content: bytes, head: Head | None = None) -> Examination:
    """The judgement of a file with this content."""

    def lines() -> Iterator[Line]:
        *whole, rest = content.split(b"\n")
        for number, raw in enumerate(whole, 1):
            yield Line(PATH, number, raw, ended=True)
        if rest:
            yield Line(PATH, len(whole) + 1, rest, ended=False)

    return examine(PATH, lines, [Remembered("Vault", head)] if head else [])


def joined(lines: Sequence[bytes]) -> bytes:
    """A file of these lines."""
    return b"".join(line + b"\n" for line in lines)


def ledgers(least: int) -> st.SearchStrategy[list[bytes]]:
    """Honest ledgers of at least so many events."""
    return st.lists(CONTENT, min_size=least, max_size=10).map(built)


def kinds(found: Examination) -> set[Kind]:
    """What was found, without where."""
    return {damage.kind for damage in found.damages}


@ANY_PACE
@given(ledgers(1))
def test_an_honest_ledger_is_intact(lines: list[bytes]) -> None:
    """The negative twin of all that follows, with and without somebody who remembers its end."""
    for head in (None, head_of(lines)):
        found = looked_at(joined(lines), head)
        assert (found.intact, found.torn, found.head) == (True, (), head_of(lines))


FIELDS = ("seq", "time", "actor", "event", "target", "outcome", "detail", "host", "prev")


@ANY_PACE
@given(ledgers(1), st.data())
def test_an_edited_field_is_an_edit_of_exactly_that_line(lines: list[bytes], data: st.DataObject) -> None:
    """Any field of any line, also of the last one."""
    at = data.draw(st.integers(0, len(lines) - 1))
    name = data.draw(st.sampled_from(FIELDS))
    event = msgspec.json.decode(lines[at])
    new = {
        "seq": st.integers(0, 99), "detail": st.dictionaries(TEXT, TEXT), "outcome": st.sampled_from(list(Outcome)),
        "prev": st.sampled_from(["0" * 64, "f" * 64]),
    }  # fmt: skip
    event[name] = data.draw(new.get(name, TEXT))
    edited = msgspec.json.encode(event)
    assume(edited != lines[at])
    found = looked_at(joined([*lines[:at], edited, *lines[at + 1 :]]), head_of(lines))
    assert [(damage.kind, damage.line) for damage in found.damages] == [(Kind.EDITED, at + 1)]


@ANY_PACE
@given(ledgers(1), st.data())
def test_a_line_made_unreadable_is_an_edit_of_that_line(lines: list[bytes], data: st.DataObject) -> None:
    """A line that is no event any more is not taken for one that a crash tore."""
    at = data.draw(st.integers(0, len(lines) - 1))
    garbage = data.draw(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\n" not in raw))
    found = looked_at(joined([*lines[:at], garbage, *lines[at + 1 :]]), head_of(lines))
    assert [(damage.kind, damage.line) for damage in found.damages] == [(Kind.EDITED, at + 1)]


@ANY_PACE
@given(ledgers(2), st.data())
def test_deleted_lines_are_a_deletion(lines: list[bytes], data: st.DataObject) -> None:
    """Any run of lines that does not reach the end, also the first; no memory is needed."""
    start = data.draw(st.integers(0, len(lines) - 2))
    end = data.draw(st.integers(start + 1, len(lines) - 1))
    found = looked_at(joined([*lines[:start], *lines[end:]]))
    assert [(damage.kind, damage.line) for damage in found.damages] == [(Kind.DELETED, start + 1)]


@ANY_PACE
@given(ledgers(2), st.data())
def test_moved_lines_are_a_reordering(lines: list[bytes], data: st.DataObject) -> None:
    """Any other order of all lines; no memory is needed."""
    order = data.draw(st.permutations(lines))
    assume(order != lines)
    assert kinds(looked_at(joined(order))) == {Kind.REORDERED}


@ANY_PACE
@given(ledgers(1), st.data())
def test_a_line_that_stands_there_twice_is_an_insertion(lines: list[bytes], data: st.DataObject) -> None:
    """Wherever the copy is put."""
    copied, at = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines)))
    found = looked_at(joined([*lines[:at], lines[copied], *lines[at:]]))
    assert kinds(found) == {Kind.INSERTED}


@ANY_PACE
@given(ledgers(1), st.data())
def test_a_cut_end_is_a_truncation_for_who_remembers_it(lines: list[bytes], data: st.DataObject) -> None:
    """At any byte that takes an event away; without a memory nothing can be said, and nothing is."""
    content = joined(lines)
    size = data.draw(st.integers(0, len(content) - 2))
    found = looked_at(content[:size], head_of(lines))
    assert kinds(found) == {Kind.TRUNCATED}
    assert looked_at(content[:size]).intact


@ANY_PACE
@given(ledgers(1), st.lists(CONTENT, min_size=1, max_size=5), st.data())
def test_two_histories_in_one_file_are_a_fork(
    lines: list[bytes], others: list[tuple[str, str, Outcome, dict[str, str]]], data: st.DataObject
) -> None:
    """Two writers that did not see each other, one after the other or mixed; no memory is needed."""
    at = data.draw(st.integers(0, len(lines) - 1))
    other = built(others, head_of(lines[:at]) if at else START)
    assume(other[0] != lines[at])
    tail = lines[at:]
    mixed = [line for pair in itertools.zip_longest(tail, other) for line in pair if line]
    for rest in (tail + other, other + tail, mixed):
        assert kinds(looked_at(joined(lines[:at] + rest))) == {Kind.FORKED}


@ANY_PACE
@given(ledgers(2), st.data())
def test_another_history_of_the_same_length_or_longer_is_a_fork(lines: list[bytes], data: st.DataObject) -> None:
    """An older copy put back and continued, or all written anew: unbroken, but not the one that was remembered."""
    at = data.draw(st.integers(0, len(lines) - 2))
    missing = len(lines) - at
    others = data.draw(st.lists(CONTENT, min_size=missing, max_size=missing + 3))
    other = built(others, head_of(lines[:at]) if at else START)
    assume(other[0] != lines[at])
    found = looked_at(joined(lines[:at] + other), head_of(lines))
    assert kinds(found) == {Kind.FORKED}
    assert looked_at(joined(lines[:at] + other)).intact


@ANY_PACE
@given(ledgers(2), st.data())
def test_a_torn_tail_is_no_damage(lines: list[bytes], data: st.DataObject) -> None:
    """A crash anywhere in the line of an event that nobody remembers; healed by what follows."""
    *before, torn = lines
    size = data.draw(st.integers(1, len(torn) - 1))
    unfinished = joined(before) + torn[:size]
    found = looked_at(unfinished, head_of(before))
    assert (found.intact, len(found.torn), found.events) == (True, 1, len(before))
    healed = looked_at(unfinished + b"\n" + torn + b"\n", head_of(lines))
    assert (healed.intact, len(healed.torn), healed.events) == (True, 1, len(lines))


@ANY_PACE
@given(ledgers(2), st.data())
def test_no_single_byte_changes_unseen(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever byte is replaced, removed or put in, wherever but behind the last line: found."""
    content = joined(lines)
    at = data.draw(st.integers(0, len(content) - 2))
    put = data.draw(st.binary(max_size=1))
    removed = data.draw(st.integers(0 if put else 1, 1))
    changed = content[:at] + put + content[at + removed :]
    # A line end at the start of a line only makes an empty line, which holds nothing.
    assume(joined([line for line in changed.split(b"\n") if line]) != content)
    assert not looked_at(changed, head_of(lines)).intact


@pytest.mark.parametrize("accepted", [False, True])
def test_what_the_ledger_recorded_against_itself_counts_until_it_is_accepted(accepted: bool) -> None:  # noqa: FBT001  a parameter
    """An appender's ``ledger.damaged`` is damage; behind the operator's word it is history."""
    lines = built([("a", "t", Outcome.OK, {}), ("b", "t", Outcome.OK, {})])
    words = ["ledger.damaged", *(["ledger.accept"] if accepted else [])]
    for seq, word in enumerate(words, 3):
        event = Event(
            seq=seq, time="2026-11-22T12:00:00.000000+00:00", actor="t", event=word, target="t",
            outcome=Outcome.OK, detail={}, host="h", prev=digest(lines[-1]),
        )  # fmt: skip
        lines.append(encode(event))
    assert looked_at(joined(lines)).intact is accepted
