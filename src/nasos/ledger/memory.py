"""The end of a ledger, remembered beside it: ``events.head``.

Rules: written after the line is on disk, so it is never ahead of an honest ledger; it may lag by what a crash cost. It
catches accidents (a copy put back, an editor, a tool that cut the file) and the careless. Whoever may write the ledger
may write this too: against him the end is also kept in Vault (`Remembered`).
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

import msgspec

from nasos.files import open_regular
from nasos.ledger.event import Head

_WIDTH: Final = 256  # bytes; always the same, so that one write replaces all of it


def beside(path: Path) -> Path:
    """``events.jsonl`` -> ``events.head``."""
    return path.with_suffix(".head")


def remember(path: Path, head: Head) -> None:
    """Keep the end of the ledger ``path``; failing costs only this memory, and the next event mends it."""
    with contextlib.suppress(OSError):
        fd = os.open(beside(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.pwrite(fd, msgspec.json.encode(head).ljust(_WIDTH - 1) + b"\n", 0)
        finally:
            os.close(fd)


def recall(path: Path) -> Head | None:
    """The remembered end; None when there is none, or something else stands in its place.

    Raises:
        OSError: The disk fails (EIO): there may be one, and it may be another than the ledger's.
    """
    try:
        with os.fdopen(open_regular(beside(path)), "rb") as file:
            return msgspec.json.decode(file.read(_WIDTH), type=Head)
    except OSError as error:
        if error.errno == errno.EIO:
            raise
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
