"""``[rotation.schedule]``: how often a secret is replaced, and when in the day; texts become values, or a clear error.

Rules: a pattern is compared segment by segment (``bots/*/db`` fits ``bots/nasos/db`` and nothing deeper); the first
pattern of the file that fits counts, and what it does not say is the default of that kind of secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time, timedelta
from fnmatch import fnmatchcase
from typing import Final, Literal

import msgspec

from nasos.errors import SettingsError

SHORTEST_WINDOW: Final = timedelta(minutes=15)
"""Whoever looks every few minutes has looked in it."""
LONGEST: Final = timedelta(days=3650)
ANY_TIME: Final = "any"

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(r"([0-9]{1,6})([mhdw])")
_WINDOW: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
_PATTERN: Final = re.compile(r"[A-Za-z0-9_.*?-]+(/[A-Za-z0-9_.*?-]+)*")


class Times(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry, as it is written."""

    every: str | None = None
    """``30d``, ``12h``, ``8w``."""
    window: str | None = None
    """Local time, ``03:00-05:00``, also over midnight; ``any`` for none."""
    jitter: str | None = None
    """At most so much later, always the same for one name."""
    grace: str | None = None
    """Overdue when it is so much older than ``every``."""
    how: Literal["automatic", "reminder"] | None = None
    """``reminder`` leaves the replacing to a person."""


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a day, in local time."""

    start: time
    end: time
    """Not after ``start``: on the day after."""

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    @property
    def length(self) -> timedelta:
        """By the clock on the wall."""
        minutes = (self.end.hour - self.start.hour) * 60 + self.end.minute - self.start.minute
        return timedelta(minutes=minutes % (24 * 60))


def fits(pattern: str, name: str) -> bool:
    """Whether a pattern means this name."""
    wanted, there = pattern.split("/"), name.split("/")
    return len(wanted) == len(there) and all(map(fnmatchcase, there, wanted))


def duration(text: str, key: str, *, least: timedelta = timedelta()) -> timedelta:
    """``30d`` as a time span; ``key`` is named in the error.

    Raises:
        SettingsError: It is none, or out of bounds.
    """
    match, hint = _DURATION.fullmatch(text), f'{key.rpartition(".")[2]} = "30d"'
    if not match:
        raise SettingsError(f'{key} is "{text}", not a number with m, h, d or w', hint)
    span = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if not least <= span <= LONGEST:
        raise SettingsError(f'{key} is "{text}": it must be from {least} to {LONGEST.days} days', hint)
    return span


def window(text: str, key: str) -> Window | None:
    """``03:00-05:00`` as a part of the day; None for any time.

    Raises:
        SettingsError: It is none, or too short to be met.
    """
    if text == ANY_TIME:
        return None
    match = _WINDOW.fullmatch(text)
    if not match:
        raise SettingsError(f'{key} is "{text}", not two times of day', 'window = "03:00-05:00"')
    found = Window(time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4])))
    if found.length < SHORTEST_WINDOW:
        raise SettingsError(
            f'{key} is "{text}": it is shorter than 15 minutes, and could be missed', 'window = "03:00-05:00"'
        )
    return found


def require_sound(name: str, entry: Times) -> None:
    """Refuse an entry with a text that cannot be understood.

    Raises:
        SettingsError: Names the key.
    """
    if not _PATTERN.fullmatch(name):
        raise SettingsError(f'rotation.schedule."{name}" is no name of a secret', '"bots/*/db" = { every = "30d" }')
    place = f'rotation.schedule."{name}"'
    if entry.every is not None:
        duration(entry.every, f"{place}.every", least=timedelta(minutes=1))
    if entry.window is not None:
        window(entry.window, f"{place}.window")
    for key, text in (("jitter", entry.jitter), ("grace", entry.grace)):
        if text is not None:
            duration(text, f"{place}.{key}")
