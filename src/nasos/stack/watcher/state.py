"""What must survive a kill of the watcher, in one file that is replaced whole."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import FileRefused
from nasos.files import atomic_write, read_private
from nasos.ledger import Head
from nasos.notify import Notice, Repeats

NAME: Final = "state.json"


class Pending(msgspec.Struct):
    """One alert that is still to be said."""

    notice: Notice
    since: float
    channels: list[str] | None = None
    """Those that have not got it; None: all that there are."""
    tries: int = 0
    not_before: float = 0.0


class State(msgspec.Struct):
    """All of it; times are seconds since the epoch."""

    places: dict[str, Head] = {}
    """Ledger -> the last event that was looked at."""
    repeats: Repeats = msgspec.field(default_factory=Repeats)
    pending: list[Pending] = []
    failing: dict[str, str] = {}
    """Channel -> why it does not deliver."""
    channels: int | None = None
    """How many there are; None while Vault could not be asked."""
    anchored: dict[str, Head] = {}
    """What we made Vault remember."""


def load(directory: Path) -> State:
    """The stored state; a new one where there is none, or none that can be read."""
    try:
        return msgspec.json.decode(read_private(directory / NAME, limit=1 << 24), type=State)
    except (FileRefused, msgspec.MsgspecError):
        return State()


def save(directory: Path, state: State) -> None:
    """Replace the stored state.

    Raises:
        FileRefused: There is no room for it.
    """
    atomic_write(directory / NAME, msgspec.json.encode(state))
