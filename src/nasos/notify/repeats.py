"""The same alert is not sent twice within its window; what was held back is counted and said at the window's end.

Rules only: time is an argument (seconds since the epoch), the state is a value that can be stored. A clock that jumps
back costs at most one window: a start in the future is taken for now.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nasos.notify.notice import Notice

WINDOW: Final = 900.0
"""Seconds. A bot that restarts for ever backs off to once in five minutes: one message instead of three."""


class _Window(msgspec.Struct):
    notice: Notice
    began: float
    held: int = 0


class Repeats(msgspec.Struct):
    """What was said lately."""

    windows: dict[str, _Window] = {}

    def offer(self, notice: Notice, now: float) -> Notice | None:
        """The notice, if it is to be sent now; None when it was sent within its window, and is counted."""
        window = self.windows.get(notice.key)
        if window is not None and now - min(window.began, now) < WINDOW:
            window.held, window.notice = window.held + 1, notice
            window.began = min(window.began, now)
            return None
        self.windows[notice.key] = _Window(notice, now)
        return notice

    def forget(self, notice: Notice) -> None:
        """Nobody was told: the next one is the first."""
        self.windows.pop(notice.key, None)

    def ended(self, now: float) -> list[Notice]:
        """A summary for each window that ended and had held something back; it begins again, others are forgotten."""
        summaries = []
        for key, window in list(self.windows.items()):
            window.began = min(window.began, now)
            if now - window.began < WINDOW:
                continue
            if not window.held:
                del self.windows[key]
                continue
            summaries.append(_summary(window))
            window.began, window.held = now, 0
        return summaries


def _summary(window: _Window) -> Notice:
    notice, times = window.notice, f"{window.held} more time" + "s" * (window.held > 1)
    return msgspec.structs.replace(
        notice,
        title=f"{notice.title}, {times}",
        body=f"{times} within {WINDOW / 60:.0f} minutes; the last:\n{notice.body}",
    )
