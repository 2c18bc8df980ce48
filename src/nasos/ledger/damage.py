"""Lines of a ledger, remembered ends, and the words for what was done to it; what they mean says `chain`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import NamedTuple

import msgspec

from nasos.ledger.event import Head


class Line(NamedTuple):
    """One line as it stands."""

    path: Path
    number: int
    """From 1, within its file."""
    raw: bytes
    """Without the line end."""
    ended: bool
    """Whether it has one."""

    def __str__(self) -> str:
        return f"{self.path} line {self.number}"


class Remembered(NamedTuple):
    """An end that somebody else kept."""

    by: str
    """Who: ``Vault``, ``events.head``."""
    head: Head


class Kind(enum.StrEnum):
    """What was done."""

    EDITED = "edited"
    DELETED = "deleted"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    FORKED = "forked"
    UNREADABLE = "unreadable"


class Damage(msgspec.Struct, frozen=True):
    """One thing that was done to the ledger."""

    kind: Kind
    path: str
    line: int
    """0 where it is about the end or the whole."""
    text: str
    """For people; names the line."""
