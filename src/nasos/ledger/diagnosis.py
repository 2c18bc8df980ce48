"""What was done to a broken chain: rules only, over all lines at once.

Rules: order is looked at first, then copies, then two events in one place; what is left is walked line by line. Where
two readings fit, the smaller one is told: one edited line rather than two, a removal rather than a forged number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nasos.ledger.damage import Damage, Kind, Line, Remembered
from nasos.ledger.event import GENESIS, Event, decode, digest


class _Entry(NamedTuple):
    line: Line
    event: Event
    hash: str
    garbage: tuple[Line, ...]
    """Ended lines without an event directly before it."""


def diagnose(lines: Sequence[Line], remembered: Sequence[Remembered]) -> list[Damage]:
    """Everything that is wrong, in the order of the lines; never empty for a chain that is broken."""
    entries = list(_entries(lines))
    by_number = sorted(entries, key=lambda entry: entry.event.seq)
    if _is_chain(by_number):
        moved = next(a for a, b in zip(entries, by_number, strict=True) if a is not b)
        return [_damage(Kind.REORDERED, moved.line, f"holds event {moved.event.seq}: lines were moved")]
    single, copies = _without_copies(entries)
    if _is_chain(sorted(single, key=lambda entry: entry.event.seq)):
        return copies
    forks = list(_forks(single))
    if forks:
        return copies + forks
    walked = list(_walk(single, {memory.head.seq: memory.head.hash for memory in remembered}))
    return copies + list({(damage.path, damage.line): damage for damage in walked}.values())


def _entries(lines: Sequence[Line]) -> Iterator[_Entry]:
    garbage: list[Line] = []
    for line in lines:
        event = decode(line.raw)
        if event is not None:
            yield _Entry(line, event, digest(line.raw), tuple(garbage))
            garbage = []
        elif line.raw:
            garbage.append(line)


def _is_chain(entries: Sequence[_Entry]) -> bool:
    prev = GENESIS
    for number, entry in enumerate(entries, 1):
        if entry.event.seq != number or entry.event.prev != prev:
            return False
        prev = entry.hash
    return True


def _without_copies(entries: Sequence[_Entry]) -> tuple[list[_Entry], list[Damage]]:
    first: dict[str, _Entry] = {}
    copies = [
        _damage(
            Kind.INSERTED, entry.line, f"and line {first[entry.hash].line.number} are the same: one of them was put in"
        )
        for entry in entries
        if first.setdefault(entry.hash, entry) is not entry
    ]
    return list(first.values()), copies


def _forks(entries: Sequence[_Entry]) -> Iterator[Damage]:
    """Two different events with one number, behind one and the same event that is there."""
    known = {entry.hash for entry in entries} | {GENESIS}
    first: dict[tuple[int, str], _Entry] = {}
    for entry in entries:
        place = (entry.event.seq, entry.event.prev)
        other = first.setdefault(place, entry)
        if other is not entry and entry.event.prev in known:
            text = f"and line {other.line.number} are two different events {entry.event.seq} after the same one"
            yield _damage(Kind.FORKED, entry.line, text)


def _walk(entries: Sequence[_Entry], remembered: Mapping[int, str]) -> Iterator[Damage]:
    expected, prev = 1, GENESIS
    vouched = {entry.event.prev for entry in entries}
    for index, entry in enumerate(entries):
        event = entry.event
        following = entries[index + 1].event.seq if index + 1 < len(entries) else None
        # Its number does not fit, but the next one's is right behind the number that it should have.
        renumbered = event.seq != expected and (event.prev == prev or following == expected + 1)
        if event.seq < expected and not renumbered:
            yield _damage(Kind.INSERTED, entry.line, f"holds an event {event.seq} that belongs to no place")
            continue
        if renumbered:
            yield _damage(Kind.EDITED, entry.line, "was edited")
        elif event.seq > expected:
            yield from _gap(entry, expected)
        elif event.prev != prev:
            # Where this line is vouched for, by the next one or by a memory, the one before is not what it was.
            last = index + 1 == len(entries) and remembered.get(expected, entry.hash) == entry.hash
            wrong = entries[index - 1] if index and (last or entry.hash in vouched) else entry
            yield _damage(Kind.EDITED, wrong.line, "was edited")
        prev, expected = entry.hash, expected + 1 if renumbered else event.seq + 1


def _gap(entry: _Entry, expected: int) -> Iterator[Damage]:
    missing = entry.event.seq - expected
    if len(entry.garbage) >= missing:
        yield from (_damage(Kind.EDITED, line, "was made unreadable") for line in entry.garbage)
        return
    what = f"event {expected} is" if missing == 1 else f"events {expected} to {entry.event.seq - 1} are"
    yield _damage(Kind.DELETED, entry.line, f"does not follow: {what} missing before it")


def _damage(kind: Kind, line: Line, text: str) -> Damage:
    return Damage(kind, str(line.path), line.number, f"{line} {text}")
