"""What housekeeping knows, in ``run/housekeeping/state.json``: for itself after a restart, for status and checks.

Rules: replaced whole; a damaged one is begun anew (nothing is lost but history); no secret in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import FileRefused
from nasos.files import atomic_write
from nasos.stack.clock import Moment
from nasos.stack.housekeeping.forecast import Sample

FILE: Final = "state.json"
_LARGEST: Final = 1 << 20


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What did not work in the newest round."""

    what: str
    """The log or directory."""
    message: str


class State(msgspec.Struct, kw_only=True):
    """Everything."""

    moment: Moment
    """Of the newest round."""
    confined: int
    """Landlock's ABI; 0: the kernel confines nothing."""
    quiet_seconds: float = 0.0
    """How long the clock has run without a jump."""
    jump: float = 0.0
    """By how many seconds it jumped last; 0 when it has been quiet for a day, or never did."""
    hours: float = 0.0
    """Since measuring began."""
    samples: dict[str, list[Sample]] = {}
    """Directory of a disk -> its history."""
    archived: dict[str, int] = {}
    """Log -> bytes that were put aside of it since measuring began."""
    full: dict[str, str] = {}
    """Directory of a disk that is full -> since when, ISO 8601."""
    troubles: list[Trouble] = []


def read(directory: Path) -> State | None:
    """The state that was written last; None when there is none that can be understood.

    Raises:
        OSError: It is there and cannot be read.
    """
    try:
        with (directory / FILE).open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=State)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write(directory: Path, state: State) -> bool:
    """Put it down; False when there is no room: it is tried again in the next round."""
    try:
        atomic_write(directory / FILE, msgspec.json.encode(state))
    except FileRefused:
        return False
    return True
