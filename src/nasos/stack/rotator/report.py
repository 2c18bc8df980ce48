"""What the rotator has to say of itself, for ``nasos status``.

Rules: a look of long ago proves nothing, and a clock that is set makes none of it older or younger; a look that failed
is said with its reason. What is overdue is the check's to say: the program does its work all the same.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.errors import ProgramFailed
from nasos.stack import clock
from nasos.stack.rotator import state
from nasos.stack.rotator.duties import SECONDS

STALE_SECONDS: Final = 3 * SECONDS
"""Three looks; one that rotates everything under load takes a minute or two."""


def proven(directory: Path) -> str:
    """Evidence that it does its work.

    Raises:
        ProgramFailed: It does not.
        OSError: Its state cannot be read.
    """
    known = state.read(directory)
    if known is None:
        raise ProgramFailed("it has not looked yet")
    age = clock.passed(known.moment, clock.read(datetime.now(UTC), clock.boot())) if known.moment else None
    if age is None or age > STALE_SECONDS:
        since = "at a time that cannot be told" if age is None else f"{age:.0f} s ago"
        raise ProgramFailed(f"its last look was {since}", "./nasos restart rotator")
    if known.error:
        raise ProgramFailed(f"its last look failed: {known.error}", "./nasos logs rotator")
    first = f"next {known.name} at {known.next.astimezone():%Y-%m-%d %H:%M}" if known.next else "nothing to rotate"
    late = f", OVERDUE: {', '.join(known.overdue)}" if known.overdue else ""
    return f"{known.secrets} secrets, {first}{late}"
