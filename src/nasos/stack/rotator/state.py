"""What the rotator knows from the look before, in ``run/rotator/state.json``; names and dates, no secret.

Rules: replaced whole; a damaged one is none, and the next look asks Vault. As long as nothing is due, nothing was left
open and the last look at Vault is young, there is nothing to ask it: its audit log would grow by each question.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from nasos.files import atomic_write
from nasos.stack.clock import Moment

NAME: Final = "state.json"
ASK_AGAIN: Final = timedelta(hours=1)
"""Somebody may have rotated by hand, or stored something new."""
_LARGEST: Final = 1 << 20


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Of the newest look."""

    looked: datetime
    """When it ended."""
    moment: Moment | None = None
    """The same, by a clock that nobody sets."""
    asked: datetime | None = None
    """When Vault was last asked for everything, and answered."""
    next: datetime | None = None
    """When the first secret is due."""
    name: str = ""
    """Which one that is."""
    secrets: int = 0
    """On the timetable."""
    overdue: tuple[str, ...] = ()
    error: str = ""
    """What could not be done in this look."""
    confined: int = 0
    """Landlock's ABI; 0: the kernel confines nothing."""
    duties: str = ""
    """Under which orders: a digest."""


def has_to_ask(state: State, now: datetime, duties: str, *, left_open: bool) -> bool:
    """Whether a look at this moment, under these orders, has to ask Vault."""
    if state.asked is None or state.error or left_open or duties != state.duties:
        return True
    if not timedelta() <= now - state.asked < ASK_AGAIN:  # also when the clock jumped back
        return True
    return state.next is not None and state.next <= now


def read(directory: Path) -> State | None:
    """The state that was written last; None when there is none that can be understood.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        with (directory / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write(directory: Path, state: State) -> None:
    """Put it down.

    Raises:
        FileRefused: There is no room.
    """
    atomic_write(directory / NAME, msgspec.json.encode(state))
