"""Security events, hash-chained JSON lines: who, what, when, where, outcome.

Rules: append only; each line carries the SHA-256 of the line before it, so an edit, a removal or a swap
breaks the chain; a torn last line (a crash in mid-write) is told apart from tampering and healed by starting
the next event on a new line. No event holds a secret: fields are names, paths, versions and fingerprints.

Event fields (a contract; ARCHITECTURE.md): ``seq`` int from 1, ``time`` UTC ISO 8601 with microseconds,
``actor`` (service or person), ``event`` dotted name (``vault.bootstrap``), ``target`` (secret path, program,
host), ``outcome`` (ok | failed | refused | unknown), ``detail`` (str -> str), ``host``, ``prev`` (64 hex).
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import hashlib
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import LedgerError

GENESIS: Final = "0" * 64
LONGEST: Final = 1 << 16  # bytes of one line; a longer event is refused, because the next could not find its end
_TAIL: Final = 1 << 18  # always holds the last whole line, also behind torn ones


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


class Ledger:
    """An append-only file of events; safe for several processes (``flock`` per append)."""

    def __init__(self, path: Path, actor: str) -> None:
        self.path = path
        self.actor = actor

    def append(
        self,
        event: str,
        target: str,
        outcome: Outcome = Outcome.OK,
        detail: Mapping[str, str] | None = None,
        *,
        now: datetime | None = None,
    ) -> Event:
        """Write one event durably and return it.

        Raises:
            LedgerError: The file cannot be written, its end holds no event, or this event does not fit one line.
        """
        moment = now or datetime.now(UTC)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"cannot open the ledger {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            seq, prev, torn = _last(fd, self.path)
            entry = Event(
                seq=seq + 1,
                time=moment.astimezone(UTC).isoformat(timespec="microseconds"),
                actor=self.actor,
                event=event,
                target=target,
                outcome=outcome,
                detail=dict(detail or {}),
                host=socket.gethostname(),
                prev=prev,
            )
            _write_line(fd, entry, self.path, on_new_line=torn)
            os.fdatasync(fd)
        except OSError as error:
            raise LedgerError(f"cannot write the ledger {self.path}: {error.strerror}") from None
        finally:
            os.close(fd)
        return entry


def _write_line(fd: int, entry: Event, path: Path, *, on_new_line: bool) -> None:
    try:
        line = msgspec.json.encode(entry)
    except UnicodeEncodeError:
        raise LedgerError("the event names something with characters that are no text", "rename it") from None
    if len(line) > LONGEST:
        raise LedgerError(f"the event {entry.event} is too long for one line of the ledger")
    line = b"\n" * on_new_line + line + b"\n"
    size = os.fstat(fd).st_size
    if os.write(fd, line) != len(line):
        os.ftruncate(fd, size)  # nobody was told of this event, and the lock is ours
        raise LedgerError(f"the ledger {path} took only part of an event", "free some disk space")


def _last(fd: int, path: Path) -> tuple[int, str, bool]:
    """Sequence number and hash of the last whole line, and whether the next event must begin a new line."""
    size = os.fstat(fd).st_size
    lines = os.pread(fd, _TAIL, max(0, size - _TAIL)).split(b"\n")
    unfinished = bool(lines[-1])
    for line in reversed(lines):
        # A torn line is passed over. A line that lacks nothing but its line end is whole.
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(line, type=Event).seq, hashlib.sha256(line).hexdigest(), unfinished
    if size > _TAIL:
        raise LedgerError(f"the end of the ledger {path} holds no event", 'see "nasos ledger verify"')
    return 0, GENESIS, unfinished


def read(path: Path) -> list[Event]:
    """All whole events, in order; torn lines are left out.

    Raises:
        LedgerError: The chain is broken (a line was changed, removed or moved), or the file cannot be read.
    """
    events: list[Event] = []
    prev = GENESIS
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return events
    except OSError as error:
        raise LedgerError(f"cannot read the ledger {path}: {(error.strerror or '').lower()}") from None
    for number, line in enumerate(lines, 1):
        try:
            event = msgspec.json.decode(line, type=Event)
        except msgspec.MsgspecError:
            continue
        if event.prev != prev or event.seq != len(events) + 1:
            raise LedgerError(f"{path} line {number} does not follow from the line before it")
        prev = hashlib.sha256(line).hexdigest()
        events.append(event)
    return events
