"""What the watcher has to say of itself, for ``nasos status``.

Rules: a sign of life of long ago proves nothing; a channel that fails is said, but it is the receiver's trouble.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from nasos.errors import ProgramFailed
from nasos.stack.watcher import state

STALE_SECONDS: Final = 90.0
"""A round takes a second, and half a minute more while a receiver hangs."""


def silent_seconds(directory: Path) -> float:
    """Since its newest round. One that is dated in the future proves no more than one of long ago.

    Raises:
        OSError: It never finished one.
    """
    return abs(time.time() - (directory / state.NAME).stat().st_mtime)


def proven(directory: Path) -> str:
    """Evidence that it does its work.

    Raises:
        ProgramFailed: It does not.
    """
    try:
        age = silent_seconds(directory)
    except FileNotFoundError:
        raise ProgramFailed("it has not finished a round yet") from None
    if age > STALE_SECONDS:
        raise ProgramFailed(f"its last round was {age:.0f} s ago", "./nasos restart watcher")
    known = state.load(directory)
    seen = sum(place.seq for place in known.places.values())
    if known.failing:
        name, why = min(known.failing.items())
        return f"{seen} events seen; alerts do not arrive at {name}: {why}"
    told = "nobody is told: nasos alert add" if not known.channels else f"alerts go to {known.channels} channel(s)"
    return f"{seen} events seen; {told}"
