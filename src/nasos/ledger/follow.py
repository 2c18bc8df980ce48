"""Following a ledger as it grows, across its parts and across restarts of the follower.

Rules: the place is the caller's to keep (`Head`, a number and a hash); each event is given at least once and in order,
whole lines only. Following is also watching: an event that does not follow from the last one, or an end before it, is
said, once, and following goes on from what is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nasos.errors import FileRefused
from nasos.files import open_regular
from nasos.ledger.damage import Line
from nasos.ledger.event import START, Event, Head, decode, head_of
from nasos.ledger.files import parts, snapshot


@dataclass(slots=True)
class News:
    """What came in since the last look."""

    events: list[Event] = field(default_factory=list)
    broken: str = ""
    """What is wrong with the chain; empty when nothing is."""


class Follower:
    """One reader of one ledger.

    Args:
        path: The growing file.
        after: The last event that the caller has seen; None begins at the end.
    """

    def __init__(self, path: Path, after: Head | None) -> None:
        self.path = path
        self.place = after or START
        self._skip = after is None
        self._file = (0, 0)
        self._offset = 0

    def news(self) -> News:
        """Everything since the last call; cheap when there is nothing.

        Raises:
            LedgerError: A file cannot be opened.
            OSError: It cannot be read.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._skip = self._skip and bool(parts(self.path))  # what comes into a ledger that is none yet is news
            return News()
        if self._file == (status.st_ino, status.st_size):
            return News()
        known_file = self._file[0] == status.st_ino and self._offset <= status.st_size
        found = self._read_on() if known_file else self._read_all()
        self._file = (status.st_ino, status.st_size)
        return found

    def _read_on(self) -> News:
        with os.fdopen(open_regular(self.path), "rb") as file:
            file.seek(self._offset)
            content = file.read()
            same = os.fstat(file.fileno()).st_ino == self._file[0]
        if not same:
            return self._read_all()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = (Line(self.path, 0, raw, ended=True) for raw in whole.split(b"\n")[:-1])
        return self._take(lines, self.place)

    def _read_all(self) -> News:
        before, lines = self.place, []
        self._offset = 0
        with snapshot(self.path) as taken:
            try:
                for line in taken.lines():
                    if line.ended:
                        lines.append(line)
                        self._offset += (len(line.raw) + 1) * (line.path == self.path)
            except FileRefused as damaged:
                return News(broken=damaged.message)
        if self._skip:
            self._skip, self.place = False, _end(lines)
            return News()
        return self._take(_behind(lines, before), before) if before.seq else self._take(lines, START)

    def _take(self, lines: Iterable[Line], before: Head) -> News:
        found, place = News(), before
        for line in lines:
            event = decode(line.raw)
            if event is None:
                continue
            if (event.seq, event.prev) != (place.seq + 1, place.hash) and not found.broken:
                found.broken = f"event {event.seq} of {self.path} does not follow from event {place.seq}"
            place = head_of(line.raw, event)
            found.events.append(event)
        self.place = place
        return found


def _behind(lines: list[Line], place: Head) -> list[Line]:
    """What stands behind the place; all with a higher number where the place is not there any more."""
    known = [(line, event) for line in lines if (event := decode(line.raw))]
    for index, (line, event) in enumerate(known):
        if event.seq == place.seq and head_of(line.raw, event) == place:
            return [line for line, _ in known[index + 1 :]]
    higher = [line for line, event in known if event.seq > place.seq]
    return higher or [line for line, _ in known[-1:]]


def _end(lines: list[Line]) -> Head:
    for line in reversed(lines):
        event = decode(line.raw)
        if event is not None:
            return head_of(line.raw, event)
    return START
