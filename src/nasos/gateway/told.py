"""What happens at the front door, in the ledger: who, what, from where, how it ended; tokens as fingerprints only.

Rules: a ledger that refuses keeps nobody out and is said in the log. A flood of the same refusal from the same place is
written once a minute, with how many there were: nobody fills the disk from outside.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nasos.errors import Error
from nasos.ledger import Ledger, Outcome

PAUSE: Final = 60.0
"""Seconds in which the same refusal is counted, not written."""
MOST: Final = 4096
"""Refusals that are remembered."""


class Told:
    """Appends events; safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._recent: dict[tuple[str, ...], tuple[float, int]] = {}

    def ok(self, actor: str, event: str, target: str, **detail: str) -> None:
        """Something was done."""
        self._append(actor, event, target, Outcome.OK, detail)

    def refused(self, actor: str, event: str, target: str, **detail: str) -> None:
        """Something was not let through."""
        key, now = (actor, event, target, *sorted(detail.values())), time.monotonic()
        with self._lock:
            since, more = self._recent.get(key, (-PAUSE, 0))
            if now - since < PAUSE:
                self._recent[key] = (since, more + 1)
                return
            if len(self._recent) >= MOST:
                self._recent.clear()
            self._recent[key] = (now, 0)
        self._append(actor, event, target, Outcome.REFUSED, {**detail, **({"more": str(more)} if more else {})})

    def _append(self, actor: str, event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        try:
            Ledger(self._path, actor).append(event, target, outcome, detail)
        except (Error, OSError) as error:
            sys.stderr.write(f"nasos: note: {event} was not recorded: {error}\n")
