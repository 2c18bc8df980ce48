"""The wish that a program ends, which every wait of it hears.

Rules: a signal only rings; what is under way comes to its end, what waits ends at once. Nothing is torn apart: whatever
was not begun is seen at the next start.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Sequence
from typing import Protocol, Self


class Waitable(Protocol):
    """Anything that ``select`` knows."""

    def fileno(self) -> int:
        """Its descriptor."""


class Stopped(Exception):
    """Somebody wants the program to end."""


class Stop:
    """Rings once, from a signal handler too."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._rung.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ring(self, *_: object) -> None:
        """End it; fits as a signal handler."""
        with contextlib.suppress(OSError):  # it has rung often enough, or all is over already
            self._rung.send(b".")

    def close(self) -> None:
        """Nobody waits any more."""
        self._heard.close()
        self._rung.close()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            Stopped: It rang before, or meanwhile.
        """
        self.first(seconds)

    def first(self, seconds: float, *others: Waitable) -> Sequence[Waitable]:
        """Wait until one of them has something to read, or the time is over.

        Raises:
            Stopped: It rang before, or meanwhile.
        """
        ready, _, _ = select.select([self._heard, *others], [], [], max(0.0, seconds))
        if self._heard in ready:
            raise Stopped
        return ready
