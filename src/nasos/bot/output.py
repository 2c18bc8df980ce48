"""Every line of the bot passes the redactor before anybody sees it.

Rules: a line is redacted as a whole (a secret never spans two: multi-line values are learnt line by line); what is
too long to be a line is left out, because a split could fall into a secret; when our own output is closed the bot's is
still drained, so that a full pipe cannot stop it from trading.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Final

from nasos.secret import Redactor

_CHUNK: Final = 1 << 16
_LONGEST: Final = 1 << 20  # bytes of one line
_LEFT_OUT: Final = b"[a line of more than 1 MiB was left out]\n"


class RedactedOutput:
    """Two pipes for a child's standard output and error, and the threads that empty them into ours."""

    def __init__(self, redactor: Redactor, targets: tuple[int, int] = (1, 2)) -> None:
        self._redactor = redactor
        pairs = [os.pipe2(os.O_CLOEXEC) for _ in targets]
        self.stdout, self.stderr = (write for _, write in pairs)
        """Ends for the child."""
        self._threads = [
            threading.Thread(target=self._pump, args=(read, target), name=f"output-{target}", daemon=True)
            for (read, _), target in zip(pairs, targets, strict=True)
        ]

    def start(self) -> None:
        """Begin, once the child has its ends: ours are closed here, so that its end is seen."""
        for fd in (self.stdout, self.stderr):
            os.close(fd)
        for thread in self._threads:
            thread.start()

    def finish(self, patience: float = 2.0) -> None:
        """Wait until everything is through; a grandchild that still holds an end is not waited for."""
        for thread in self._threads:
            thread.join(patience)

    def _pump(self, source: int, target: int) -> None:
        line = Line(self._redactor)
        with os.fdopen(source, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK):
                target = _write(target, line.feed(chunk))
        _write(target, line.end())


class Line:
    """Bytes in as they come, redacted lines out."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = b""
        self._dropping = False

    def feed(self, chunk: bytes) -> bytes:
        """The lines that ``chunk`` completes, redacted."""
        whole, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
        if newline and self._dropping:
            whole, self._dropping = whole.partition(b"\n")[2], False
        out = self._redacted(whole + newline) if whole or (newline and not self._dropping) else b""
        if len(self._rest) > _LONGEST:
            out += b"" if self._dropping else _LEFT_OUT
            self._rest, self._dropping = b"", True
        return out

    def end(self) -> bytes:
        """What was left without a newline."""
        return b"" if self._dropping else self._redacted(self._rest)

    def _redacted(self, raw: bytes) -> bytes:
        return self._redactor.redact(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _write(target: int, content: bytes) -> int:
    """Write all; returns the target to go on with (-1: nobody listens any more)."""
    view = memoryview(content)
    with contextlib.suppress(OSError):
        while view and target >= 0:
            view = view[os.write(target, view) :]
        return target
    return -1
