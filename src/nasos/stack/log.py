"""The log of one program: its newest lines, what comes in, and the line that says why it is not well.

Rules: a log may be rotated or be gone at any moment; what it says is shown as plain printable text, one line.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

LONGEST_REASON: Final = 300
_AT_ONCE: Final = 1 << 20  # bytes of a burst that are looked at
_LINE: Final = 400  # bytes; more than our programs write on average

# freqtrade "... - ERROR - text", PostgreSQL "FATAL:  text", nginx "[emerg] 1#1: text", ours "nasos: error: text",
# OpenBao "error ...: text", a traceback's "SomeError: text".
_WRONG: Final = re.compile(r" - (?:ERROR|CRITICAL) - |(?:FATAL|PANIC|ERROR): +|\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?")
_OURS: Final = re.compile(r"^nasos: error: ")
_VAGUE: Final = re.compile(r"\w*(?:error|fatal|panic)", re.IGNORECASE)


class Log:
    """Reads on from where it was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, self._position = self._seen()

    def _seen(self) -> tuple[int, int]:
        """Which file it is, and its size."""
        try:
            status = self.path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size

    def last(self, count: int) -> list[str]:
        """The newest lines, ``count`` at most; a short answer is no harm."""
        text = self._read(max(0, self._position - count * _LINE), self._position)
        return text.splitlines()[-count:]

    def new(self) -> str:
        """What was written since the last look."""
        file, size = self._seen()
        # Another file, or one that is shorter than before: it was rotated.
        start = self._position if file == self._file and size >= self._position else 0
        self._file, self._position = file, size
        return self._read(max(start, size - _AT_ONCE), size)

    def _read(self, start: int, end: int) -> str:
        try:
            with self.path.open("rb") as file:
                file.seek(start, os.SEEK_SET)
                return file.read(end - start).decode(errors="replace")
        except OSError:
            return ""


def reason(lines: list[str]) -> str | None:
    """The newest line that says what is wrong, without time and level; None where there is none."""
    for pattern in (_WRONG, _OURS, _VAGUE):
        for line in reversed(lines):
            match = pattern.search(line)
            if match:
                return _plain(line if pattern is _VAGUE else line[match.end() :])
    return None


def _plain(text: str) -> str:
    printable = "".join(sign if sign.isprintable() else " " for sign in text).strip().rstrip(".")
    return printable if len(printable) <= LONGEST_REASON else printable[: LONGEST_REASON - 3] + "..."
