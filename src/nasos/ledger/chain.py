"""Whether lines are one unbroken chain, and what was done to it when they are not: rules only.

What is told apart, and how:

==============  ==================================================================================================
``edited``      a line is not the one that the next one (or the remembered end) vouches for
``deleted``     numbers are missing between two lines
``reordered``   the lines are a chain, in another order
``inserted``    a line stands there twice, or belongs to no place
``truncated``   intact, but it ends before a remembered end
``forked``      two events follow one; or intact, but another history than the remembered one
``unreadable``  a closed part cannot be unpacked
==============  ==================================================================================================

A torn line is none of these: a crash in mid-write left it, nobody was told that it was written, and the next event
began a new line. The chain alone cannot show that its end was cut off or that all of it was written anew: that takes
an end that is remembered where the forger cannot write. What an appender found wrong with the end it recorded itself,
as `DAMAGED`; that counts until the operator's `ACCEPTED` stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nasos.ledger.damage import Damage, Kind, Line, Remembered
from nasos.ledger.event import ACCEPTED, DAMAGED, START, Event, Head, decode, digest


@dataclass(frozen=True, slots=True)
class Examination:
    """What a ledger is worth."""

    events: int
    """How many it holds."""
    head: Head
    """Its end; `START` when the chain is broken."""
    damages: tuple[Damage, ...]
    torn: tuple[Line, ...]
    """Healed, or the last line."""

    @property
    def intact(self) -> bool:
        """Whether nothing was done to it."""
        return not self.damages


@dataclass(slots=True)
class _Walk:
    """What was seen of an unbroken chain so far."""

    path: Path
    wanted: frozenset[int]
    """Numbers whose places are remembered by somebody."""
    head: Head = START
    last: Line | None = None
    """The line of ``head``."""
    passed: dict[int, Head] = field(default_factory=dict)
    torn: list[Line] = field(default_factory=list)
    confessed: list[tuple[Line, Event]] = field(default_factory=list)
    """`DAMAGED` events that nobody accepted."""

    def step(self, line: Line) -> bool:
        """Take one more line; whether the chain holds."""
        event = decode(line.raw)
        if event is None:
            self.torn += [line] if line.raw else []
            return True
        if event.seq != self.head.seq + 1 or event.prev != self.head.hash:
            return False
        self.head, self.last = Head(event.seq, digest(line.raw), event.prev), line
        if event.seq in self.wanted:
            self.passed[event.seq] = self.head
        if event.event in {DAMAGED, ACCEPTED}:
            self.confessed = [*self.confessed, (line, event)] if event.event == DAMAGED else []
        return True

    def end(self, memory: Remembered) -> Damage | None:
        """What a remembered end says of the chain."""
        known, seen = memory.head, self.passed.get(memory.head.seq)
        if known.seq == 0 or seen == known:
            return None
        place = str(self.last.path if self.last else self.path)
        if known.seq > self.head.seq:
            return self._shorter(memory, place)
        if self.last and seen and seen.prev == known.prev and known.seq == self.head.seq:
            text = f"{self.last} was edited: {memory.by} knows another event {known.seq}"
            return Damage(Kind.EDITED, place, self.last.number, text)
        text = f"{place} is another history than the one that {memory.by} knows: event {known.seq} is not the same"
        return Damage(Kind.FORKED, place, 0, text)

    def _shorter(self, memory: Remembered, place: str) -> Damage:
        known, torn = memory.head.seq, self.torn[-1] if self.torn else None
        behind = torn is not None and (
            self.last is None or torn.path != self.last.path or torn.number > self.last.number
        )
        if torn and behind and torn.ended and known == self.head.seq + 1:
            return Damage(Kind.EDITED, str(torn.path), torn.number, f"{torn} was made unreadable")
        missing = f"event {known}" if known == self.head.seq + 1 else f"events {self.head.seq + 1} to {known}"
        return Damage(Kind.TRUNCATED, place, 0, f"{place} was cut off: {missing} of it are known to {memory.by}")

    def confessions(self) -> Iterator[Damage]:
        """What the ledger itself recorded."""
        for line, event in self.confessed:
            why = event.detail.get("why") or f"the end was another one then: {event.detail.get('found', '')}"
            text = f"{line} records that {why}"
            yield Damage(Kind.TRUNCATED, str(line.path), line.number, text)


def examine(path: Path, lines: Callable[[], Iterable[Line]], remembered: Sequence[Remembered] = ()) -> Examination:
    """Follow the chain once; where it breaks, go over all of it again and say how."""
    walk = _Walk(path, frozenset(memory.head.seq for memory in remembered))
    for line in lines():
        if not walk.step(line):
            return _broken(list(lines()), remembered)
    ends = [damage for memory in remembered if (damage := walk.end(memory))]
    return Examination(walk.head.seq, walk.head, (*ends[:1], *walk.confessions()), tuple(walk.torn))


def _broken(lines: list[Line], remembered: Sequence[Remembered]) -> Examination:
    from nasos.ledger.diagnosis import diagnose

    count = sum(decode(line.raw) is not None for line in lines)
    return Examination(count, START, tuple(diagnose(lines, remembered)), ())
