"""Reading: all events, or a judgement of the whole ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nasos.errors import FileRefused, LedgerError
from nasos.ledger import memory
from nasos.ledger.chain import Examination, examine
from nasos.ledger.damage import Damage, Kind, Remembered
from nasos.ledger.event import START, Event, decode
from nasos.ledger.files import snapshot, unreadable


def verify(path: Path, remembered: Sequence[Remembered] = ()) -> Examination:
    """What the ledger is worth, held to the end remembered beside it and to those given.

    Raises:
        LedgerError: It cannot be read: that is no judgement.
        PlatformUnsupported: A part is compressed, and this Python cannot unpack it.
    """
    # Recalled first: an event that is appended meanwhile is then not missed.
    try:
        own = memory.recall(path)
    except OSError as error:
        raise unreadable(path, error) from None
    known = [*remembered, *([Remembered(memory.beside(path).name, own)] if own else [])]
    with snapshot(path) as taken:
        try:
            return examine(path, taken.lines, known)
        except FileRefused as damaged:
            return Examination(0, START, (Damage(Kind.UNREADABLE, str(path), 0, damaged.message),), ())
        except OSError as error:
            raise unreadable(path, error) from None


def read(path: Path, remembered: Sequence[Remembered] = ()) -> list[Event]:
    """All whole events, in order; torn lines are left out.

    Raises:
        LedgerError: The chain is broken, or a file cannot be read.
    """
    found = verify(path, remembered)
    if found.damages:
        raise LedgerError(found.damages[0].text, "nasos ledger verify")
    with snapshot(path) as taken:
        try:
            return [event for line in taken.lines() if (event := decode(line.raw)) is not None]
        except OSError as error:
            raise unreadable(path, error) from None


def named(path: Path, prefix: str, *, recent: bool = False) -> list[Event]:
    """Events whose name begins so, in order; the chain is not judged. ``recent``: the two newest files are enough.

    Raises:
        LedgerError: A file cannot be read, or a compressed part is damaged.
    """
    mark = f'"event":"{prefix}'.encode()
    with snapshot(path) as taken:
        wanted = replace(taken, closed=taken.closed[-1:]) if recent else taken
        try:
            # Most lines are others': they need not be understood.
            events = [decode(line.raw) for line in wanted.lines() if mark in line.raw]
        except FileRefused as damaged:
            raise LedgerError(damaged.message, "nasos ledger verify") from None
        except OSError as error:
            raise unreadable(path, error) from None
    return [event for event in events if event is not None and event.event.startswith(prefix)]
