"""Become an embedded program, if it is the pinned one: ``python -m nasos.stack.verified NAME ARGUMENTS``.

Rule: what supervisord starts again hours later is looked at again, not trusted for having been looked at by ``up``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nasos.errors import Error
from nasos.stack.binaries import find, place

_REFUSED: Final = 3


def command(name: str, *arguments: str) -> list[str]:
    """The command line that verifies the program and becomes it.

    Raises:
        Error: The program is not there at all: known now, not only when it is started.
    """
    place(name)
    return [sys.executable, "-m", "nasos.stack.verified", name, *arguments]


def become(name: str, arguments: Sequence[str]) -> None:
    """Replace this process by the program.

    Raises:
        Error: It is not the pinned one, or cannot be executed.
    """
    path: Path = find(name)
    os.execv(path, [str(path), *arguments])  # noqa: S606  no shell is the point


if __name__ == "__main__":
    try:
        become(sys.argv[1], sys.argv[2:])
    except Error as refused:
        sys.stderr.write(f"nasos: error: {refused.message}\n")
        sys.stderr.write(f"nasos: hint: {refused.hint}\n" if refused.hint else "")
        sys.exit(_REFUSED)
