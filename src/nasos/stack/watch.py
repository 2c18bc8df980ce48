"""One program while it is waited for: whether there is any point in waiting on, and what its log says.

Rules: a program that ended twice meanwhile will not heal by itself (a dropped connection or an order of start-up costs
one end, not two); the bot's launcher stays while its bot fails, so its own words are counted too.
"""

from __future__ import annotations

import re
from typing import Final

from nasos.stack.log import Log, reason
from nasos.stack.supervisor import Supervisor

PATIENCE: Final = 2
"""Ends that are one too many."""

_OVER: Final = ("fatal", "stopped", "unknown")
# What bot/launch.py says of each failed start, and of itself when it gives up.
_FAILED_START: Final = re.compile(r"^nasos: \S+: ended \(.*\); starts again in |^nasos: error: ", re.MULTILINE)


class Watch:
    """Begins with its first look; ``supervisor`` is asked, ``log`` is read on."""

    def __init__(self, supervisor: Supervisor, name: str, log: Log) -> None:
        self._supervisor, self._name, self._log = supervisor, name, log
        self._pids: set[int] = set()
        self._failed_starts = 0
        self._said: list[str] = []

    def gave_up(self) -> str | None:
        """Why waiting on is useless; None while it is not."""
        state = self._supervisor.states()[self._name]
        if state.pid is not None:
            self._pids.add(state.pid)
        ends = len(self._pids) - (state.pid is not None)
        self._listen()
        if state.state in _OVER:
            return f"it is {state.state}"
        if max(ends, self._failed_starts) >= PATIENCE:
            return f"it ended {max(ends, self._failed_starts)} times"
        return None

    def reason(self) -> str | None:
        """What its log says is wrong, since the watch began."""
        self._listen()
        return reason(self._said)

    def _listen(self) -> None:
        new = self._log.new()
        self._failed_starts += len(_FAILED_START.findall(new))
        self._said = [*self._said, *new.splitlines()][-200:]
