"""``backup.json``: when the newest backup was made, and where it went. Written when it is whole; no secret."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec


class Newest(msgspec.Struct, frozen=True, kw_only=True):
    """``backup.json``: the last backup that was made."""

    created: datetime
    file: str
    """Where it was written; ``-`` for standard output."""
    size: int
    """Bytes of the file."""

    @classmethod
    def of(cls, home: Path) -> Newest | None:
        """The record in a state directory; None when there is none, or it says nothing."""
        try:
            return msgspec.json.decode((home / "backup.json").read_bytes(), type=cls)
        except (OSError, msgspec.MsgspecError):
            return None
