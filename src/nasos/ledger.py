"""Security events, hash-chained JSON lines: who, what, when, where, outcome.

Rules: append only; each line carries the SHA-256 of the line before it, so an edit, a removal or a swap
breaks the chain; a torn last line (a crash in mid-write) is told apart from tampering and healed by starting
the next event on a new line. No event holds a secret: fields are names, paths, versions and fingerprints.

Event fields (a contract; ARCHITECTURE.md): ``seq`` int from 1, ``time`` UTC ISO 8601 with microseconds,
``actor`` (service or person), ``event`` dotted name (``vault.bootstrap``), ``target`` (secret path, program,
host), ``outcome`` (ok | failed | refused | unknown), ``detail`` (str -> str), ``host``, ``prev`` (64 hex).
"""

from __future__ import annotations

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
_TAIL: Final = 1 << 16  # longer than any event we write


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
            LedgerError: The file cannot be written, or its last line is not an event.
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
            line = (b"\n" if torn else b"") + msgspec.json.encode(entry) + b"\n"
            if os.write(fd, line) != len(line):
                raise LedgerError(f"the ledger {self.path} took only part of an event", "free some disk space")
            os.fdatasync(fd)
        except OSError as error:
            raise LedgerError(f"cannot write the ledger {self.path}: {error.strerror}") from None
        finally:
            os.close(fd)
        return entry


def _last(fd: int, path: Path) -> tuple[int, str, bool]:
    """Sequence number and hash of the last whole line, and whether a torn line follows it."""
    size = os.fstat(fd).st_size
    if size == 0:
        return 0, GENESIS, False
    tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
    whole, _, rest = tail.rpartition(b"\n")
    torn = bool(rest)
    if not whole:
        return 0, GENESIS, torn
    for line in reversed(whole.split(b"\n")):
        if not line:
            continue
        try:
            return msgspec.json.decode(line, type=Event).seq, hashlib.sha256(line).hexdigest(), torn
        except msgspec.MsgspecError:
            continue  # an earlier torn line, already closed by a newline; verify() reports it
    raise LedgerError(f"the end of the ledger {path} holds no event", 'see "nasos ledger verify"')


def read(path: Path) -> list[Event]:
    """All whole events, in order; torn lines are left out.

    Raises:
        LedgerError: The chain is broken: a line was changed, removed or moved.
    """
    events: list[Event] = []
    prev = GENESIS
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return events
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
