"""The services of a compose file as containers: no Docker socket is needed, and none is opened.

Rules: the file is read whole when it looks different from before (inode, size, time), and once a minute all the same.
A file that cannot be read or understood, is gone, or names no service, changes nothing: editors write in steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nasos.cloudflare.compose import LARGEST, containers
from nasos.cloudflare.labels import Container
from nasos.cloudflare.stop import Stop
from nasos.errors import ContainersUnknown, UsageError

PAUSE: Final = 0.5
"""Seconds between two looks at the file's date."""

_Stamp = tuple[int, int, int]


class ComposeFile:
    """One compose file."""

    def __init__(self, path: Path, pause: float = PAUSE, opened: Callable[[], int] | None = None) -> None:
        """``opened`` gives a descriptor of it, where this process may not open it itself."""
        self._path, self._pause = path, pause
        self._opened = opened or (lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        self._seen: _Stamp | None = None

    @property
    def name(self) -> str:
        """Its path."""
        return str(self._path)

    def look(self) -> tuple[Container, ...]:
        """All its services."""
        self._seen = self._stamp()
        try:
            with os.fdopen(self._opened(), "rb") as file:
                content = file.read(LARGEST + 1)
            found = containers(content.decode("utf-8-sig"))
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise ContainersUnknown(f"{self._path} cannot be read: {why}", f"ls -l {self._path}") from None
        except UnicodeDecodeError:
            raise ContainersUnknown(f"{self._path} is no UTF-8 text", f"file {self._path}") from None
        except UsageError as error:
            raise ContainersUnknown(f"{self._path}: {error.message}", error.hint) from None
        if len(content) > LARGEST or not found:
            raise ContainersUnknown(
                f"{self._path} names no service, or more than 1 MiB of them: nothing is removed for that",
                "to remove everything: nasos cloudflare apply --prune",
            )
        return found

    def hinted(self, seconds: float, stop: Stop) -> bool:
        """Whether it looks different now."""
        deadline = time.monotonic() + seconds
        while True:
            if self._stamp() != self._seen:
                self._seen = self._stamp()
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            stop.sleep(min(self._pause, left))

    def close(self) -> None:
        """Nothing is open."""

    def _stamp(self) -> _Stamp | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116  one call: inode, size and time of the same file
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
