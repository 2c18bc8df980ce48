"""Since when nobody asks for which record of ours: kept across restarts, so that a grace is one grace.

Rules: IDs and dates, no secret. A file that cannot be understood is as good as none: every grace then begins anew, and
nothing goes too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.files import atomic_write, read_private

NAME: Final = "cloudflare.json"


class Memory(msgspec.Struct):
    """Of all zones."""

    absent: dict[str, dict[str, datetime]] = {}
    """Zone ID -> record ID -> since when."""

    def of(self, zone: str) -> Mapping[str, datetime]:
        """One zone's, dates that are aware only."""
        return {known: since for known, since in self.absent.get(zone, {}).items() if since.tzinfo is not None}


def recall(home: Path) -> Memory:
    """What is remembered.

    Raises:
        FileRefused: Others can write it, or it is not ours to read.
    """
    path = home / NAME
    if not path.exists():
        return Memory()
    try:
        return msgspec.json.decode(read_private(path, 16 << 20), type=Memory)
    except msgspec.MsgspecError:
        return Memory()


def remember(home: Path, memory: Memory, zone: str, absent: Mapping[str, datetime]) -> None:
    """One zone's, with what is known of the others; nothing is written when nothing is new."""
    if memory.absent.get(zone, {}) == dict(absent):
        return
    memory.absent[zone] = dict(absent)
    atomic_write(home / NAME, msgspec.json.encode(memory))
