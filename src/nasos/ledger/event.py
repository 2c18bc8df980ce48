"""One event, its line and its place in the chain: values only.

Event fields (a contract; ARCHITECTURE.md): ``seq`` int from 1, ``time`` UTC ISO 8601 with microseconds,
``actor`` (service or person), ``event`` dotted name (``vault.bootstrap``), ``target`` (secret path, program,
host), ``outcome`` (ok | failed | refused | unknown), ``detail`` (str -> str), ``host``, ``prev`` (64 hex). No event
holds a secret: fields are names, paths, versions and fingerprints.
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final

import msgspec

from nasos.errors import LedgerError

DAMAGED: Final = "ledger.damaged"
"""Recorded by whoever finds the end to be another one than the remembered."""
ACCEPTED: Final = "ledger.accept"
"""Recorded by the operator, who knows why."""

GENESIS: Final = "0" * 64
LONGEST: Final = 1 << 16  # bytes of one line; a longer event is refused, because the next could not find its end


class Outcome(enum.StrEnum):
    """How it ended; ``unknown`` when the answer was lost."""

    OK = "ok"
    FAILED = "failed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger."""

    seq: int
    time: str
    actor: str
    event: str
    target: str
    outcome: Outcome
    detail: dict[str, str]
    host: str
    prev: str


class Head(msgspec.Struct, frozen=True):
    """One place in the chain: enough to recognise the ledger that had its end there."""

    seq: int
    """Number of the event; 0 before the first."""
    hash: str
    """SHA-256 of its line."""
    prev: str
    """SHA-256 of the line before."""


START: Final = Head(0, GENESIS, GENESIS)
"""Where every ledger begins."""

_decoder: Final = msgspec.json.Decoder(Event)


def digest(line: bytes) -> str:
    """What the next line carries as ``prev``; ``line`` without its end."""
    return hashlib.sha256(line).hexdigest()


def encode(event: Event) -> bytes:
    """The event's line, without its end.

    Raises:
        LedgerError: A name is no text, or the line would be too long to be found again.
    """
    try:
        line = msgspec.json.encode(event)
    except UnicodeEncodeError:
        raise LedgerError("the event names something with characters that are no text", "rename it") from None
    if len(line) > LONGEST:
        raise LedgerError(f"the event {event.event} is too long for one line of the ledger")
    return line


def decode(line: bytes) -> Event | None:
    """The event on a line; None when there is none: torn, or made unreadable."""
    try:
        return _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def head_of(line: bytes, event: Event) -> Head:
    """The place of this event."""
    return Head(event.seq, digest(line), event.prev)
