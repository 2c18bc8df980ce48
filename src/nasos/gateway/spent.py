"""Which one-time codes were used: the newest step of each person, beside the sessions.

Rules: a step counts once, also for two who come at the same instant and after a restart: taking it is one statement.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from nasos.errors import FileRefused


class Spent:
    """The newest used step of each person; safe for many threads."""

    def __init__(self, path: Path) -> None:
        """``path``: the gateway's database, which exists."""
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
            self._db.execute("CREATE TABLE IF NOT EXISTS spent_codes (name TEXT PRIMARY KEY, step INTEGER NOT NULL)")
        except sqlite3.Error as error:
            raise FileRefused(f"{path} cannot be used: {error}", "nasos logs gateway") from None

    def take(self, name: str, step: int) -> bool:
        """Use a step up; False: it, or a later one, was used before.

        Raises:
            FileRefused: It cannot be kept; then it must not count either.
        """
        with self._lock:
            try:
                taken = self._db.execute(
                    "INSERT INTO spent_codes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET step = excluded.step "
                    "WHERE excluded.step > spent_codes.step",
                    (name, step),
                )
            except sqlite3.Error as error:
                raise FileRefused(f"a used code cannot be kept: {error}", "nasos logs gateway") from None
            return taken.rowcount == 1

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
