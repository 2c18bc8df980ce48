"""What was put aside of a log: names, and which of it has to go. Pure.

Rules: ``<log>-<number>-<time>``, with ``.zst`` once it is compressed. The number alone is the order: clocks jump. The
newest is always kept, so that numbers never begin anew. What is not ours is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nasos.compress import SUFFIX

_TIME: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"(?P<log>.+)-(?P<number>\d{6,})-(?P<time>\d{8}T\d{6}Z)(?P<packed>\.zst)?")


@dataclass(frozen=True, slots=True, order=True)
class Archive:
    """One name."""

    number: int
    at: datetime
    """When it was put aside, by the clock of that moment."""
    name: str
    packed: bool


def parse(name: str, log: str) -> Archive | None:
    """``name``, if it was put aside of ``log``."""
    found = _NAME.fullmatch(name)
    if found is None or found["log"] != log:
        return None
    try:
        at = datetime.strptime(found["time"], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Archive(int(found["number"]), at, name, packed=bool(found["packed"]))


def of(names: Iterable[str], log: str) -> list[Archive]:
    """Everything that was put aside of ``log``, the oldest first."""
    return sorted(each for name in names if (each := parse(name, log)))


def following(archives: Iterable[Archive], log: str, now: datetime) -> str:
    """The next name."""
    number = max((each.number for each in archives), default=0) + 1
    return f"{log}-{number:06d}-{now.astimezone(UTC).strftime(_TIME)}"


def unfinished(archives: Iterable[Archive]) -> list[Archive]:
    """What still has to be compressed, also where the compressed file stands beside it already."""
    return [each for each in archives if not each.packed]


def is_leftover(name: str, log: str) -> bool:
    """Whether a run that was killed left this half-made file: only one housekeeper works, so it is nobody's now."""
    if name == new_name(log):
        return True
    hidden = re.fullmatch(rf"\.(.+{re.escape(SUFFIX)})\.[0-9a-f]+\.tmp", name)
    return bool(hidden and parse(hidden[1], log))


def new_name(log: str) -> str:
    """The fresh file, before it takes the log's place."""
    return f".{log}.new"


def expired(
    archives: Iterable[Archive], sizes: dict[str, int], keep_bytes: int, keep: timedelta, now: datetime | None
) -> list[Archive]:
    """What has to go: beyond ``keep_bytes`` in all, or older than ``keep`` at ``now`` (None: not to be trusted)."""
    newest_first = sorted((each for each in archives if each.packed), reverse=True)
    gone, total = [], 0
    for place, each in enumerate(newest_first):
        total += sizes.get(each.name, 0)
        old = now is not None and now - each.at > keep
        if place and (total > keep_bytes or old):
            gone.append(each)
    return gone
