"""Appending: one event, durable when the call returns, whoever else appends at the same time.

Rules: append only, under ``flock``; a line is whole and synced before its end is remembered beside it and before
anybody is told; what could not be written whole is taken back. A torn last line (a crash in mid-write) is healed by
starting the next event on a new line. An end that is not the remembered one is itself recorded, as the event
``ledger.damaged``, before the chain goes on: work never stops, and the evidence is inside the chain from then on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.errors import LedgerError
from nasos.files import fsync_directory
from nasos.ledger import memory
from nasos.ledger.event import DAMAGED, START, Event, Head, Outcome, decode, digest, encode, head_of
from nasos.ledger.files import LIMIT, close_part, locked, parts

_SHORT: Final = 1 << 12  # nearly always holds the last line
_TAIL: Final = 1 << 18  # always holds the last whole line, also behind torn ones


class Ledger:
    """An append-only file of events; safe for several processes (``flock`` per append).

    Args:
        path: ``events.jsonl``, the file that grows; closed parts lie beside it.
        actor: Who appends: a service's or a person's name.
        limit: Bytes at which the growing file is closed and a new one begun.
    """

    def __init__(self, path: Path, actor: str, limit: int = LIMIT) -> None:
        self.path = path
        self.actor = actor
        self._limit = limit

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
        moment = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")
        said = _Said(moment, self.actor, event, target, outcome, dict(detail or {}))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._append(said)
        except OSError as error:
            raise _failed(self.path, error) from None

    def _append(self, said: _Said) -> Event:
        while True:
            with locked(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as fd:
                end = _end(fd, self.path)
                if end.size >= self._limit and end.own and self._close(fd, end.head.seq):
                    continue
                if not end.size:
                    fsync_directory(self.path.parent)
                return self._write(fd, said, end)

    def _close(self, fd: int, seq: int) -> bool:
        try:
            close_part(fd, self.path, seq)
        except OSError:
            return False  # a larger file is no reason to lose an event
        return True

    def _write(self, fd: int, said: _Said, end: _End) -> Event:
        head, torn, known = end.head, end.torn, None
        with contextlib.suppress(OSError):  # a memory that the disk does not give back costs no event
            known = memory.recall(self.path)
        if known is not None and (known.seq > head.seq or (known.seq == head.seq and known.hash != head.hash)):
            evidence = {"remembered": f"{known.seq} {known.hash}", "found": f"{head.seq} {head.hash}"}
            doubt = _Said(said.time, said.actor, DAMAGED, str(self.path), Outcome.FAILED, evidence)
            _, head = _write_line(fd, doubt.after(head), self.path, on_new_line=torn)
            torn = False
        event, head = _write_line(fd, said.after(head), self.path, on_new_line=torn)
        memory.remember(self.path, head)
        return event


@dataclass(frozen=True, slots=True)
class _Said:
    """An event that has no place yet."""

    time: str
    actor: str
    event: str
    target: str
    outcome: Outcome
    detail: dict[str, str]

    def after(self, head: Head) -> Event:
        return Event(
            seq=head.seq + 1, time=self.time, actor=self.actor, event=self.event, target=self.target,
            outcome=self.outcome, detail=self.detail, host=socket.gethostname(), prev=head.hash,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _End:
    """Where the next event goes."""

    head: Head
    size: int
    own: bool
    """Whether the growing file itself holds an event."""
    torn: bool
    """Whether the next event must begin a new line."""


def _end(fd: int, path: Path) -> _End:
    size = os.fstat(fd).st_size
    head, torn = _last(fd, size, path)
    if head is not None:
        return _End(head, size, own=True, torn=torn)
    return _End(_last_closed(path), size, own=False, torn=torn)


def _last_closed(path: Path) -> Head:
    closed = [part for part in parts(path) if part.suffix == path.suffix]
    if not closed:
        return START
    fd = os.open(closed[-1], os.O_RDONLY | os.O_CLOEXEC)
    try:
        head, _ = _last(fd, os.fstat(fd).st_size, closed[-1])
    finally:
        os.close(fd)
    return head or START


def _last(fd: int, size: int, path: Path) -> tuple[Head | None, bool]:
    """The last whole event, and whether a line is unfinished. A line that lacks nothing but its end is whole."""
    unfinished = False
    for window in (_SHORT, _TAIL):
        begin = max(0, size - window)
        lines = os.pread(fd, window, begin).split(b"\n")
        unfinished = bool(lines[-1])
        for line in reversed(lines[1:] if begin else lines):  # the first one may have lost its beginning
            event = decode(line)
            if event is not None:
                return head_of(line, event), unfinished
    if size > _TAIL:
        raise LedgerError(f"the end of the ledger {path} holds no event", 'see "nasos ledger verify"')
    return None, unfinished


def _write_line(fd: int, event: Event, path: Path, *, on_new_line: bool) -> tuple[Event, Head]:
    line = encode(event)
    whole = b"\n" * on_new_line + line + b"\n"
    size = os.fstat(fd).st_size
    try:
        written = os.write(fd, whole)
    except OSError:
        _take_back(fd, size)
        raise
    if written != len(whole):
        _take_back(fd, size)
        raise LedgerError(f"the ledger {path} took only part of an event", f'free some space: "df -h {path.parent}"')
    os.fdatasync(fd)
    return event, Head(event.seq, digest(line), event.prev)


def _take_back(fd: int, size: int) -> None:
    with contextlib.suppress(OSError):  # then it is a torn line, which the next event heals
        os.ftruncate(fd, size)  # nobody was told of this event, and the lock is ours


def _failed(path: Path, error: OSError) -> LedgerError:
    from nasos.files import hint_for

    return LedgerError(f"cannot write the ledger {path}: {(error.strerror or '').lower()}", hint_for(path, error))
