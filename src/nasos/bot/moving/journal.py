"""What an import did so far, on disk before it is done.

Rules: an intent is written before its deed and its proof after it; whoever finds a journal can go on or go back without
asking anybody. It holds paths, versions and digests of files, never a secret.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import msgspec

from nasos.bot.moving.trades import Contents
from nasos.errors import BotError
from nasos.files import atomic_write, fsync_directory, private_directory


class Kept(msgspec.Struct, kw_only=True):
    """A file of the operator's that is replaced."""

    place: str
    """Where it is, links followed."""
    backup: str
    """Its name in ``backup/``."""
    mode: int
    uid: int
    gid: int
    atime: int
    mtime: int
    """Nanoseconds, as the times above."""
    before: str
    """SHA-256 of the original."""
    after: str
    """SHA-256 of what takes its place."""


class Stored(msgspec.Struct, kw_only=True):
    """A record that is written."""

    path: str
    before: int
    """The newest version when the import began; 0: none."""
    version: int = 0
    """The version that we wrote and read back; 0: not yet."""


class Moved(msgspec.Struct, kw_only=True):
    """The trades."""

    source: str
    digest: str = ""
    """Of the SQLite file when it was copied."""
    state: Literal["wanted", "begun", "proven"] = "wanted"
    contents: Contents | None = None
    """What the source holds, in the shape that freqtrade migrated it to."""


class Journal(msgspec.Struct, kw_only=True):
    """One import of one bot."""

    bot: str
    configs: list[str]
    env: str | None
    state: Literal["applying", "done", "undoing", "over"] = "applying"
    """``over``: confirmed or undone, only this directory is still to be removed."""
    files: list[Kept] = []
    records: list[Stored] = []
    trades: Moved | None = None


class Desk:
    """The directory of one bot's import: ``journal.json``, ``backup/``, ``work/``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.backup = directory / "backup"
        self.work = directory / "work"
        self._file = directory / "journal.json"

    def prepare(self) -> None:
        """Make the directories."""
        for place in (self.directory, self.backup, self.work):
            private_directory(place)

    def load(self) -> Journal | None:
        """The journal, when an import is unfinished or unconfirmed; what a killed removal left is removed.

        Raises:
            BotError: It cannot be understood.
        """
        try:
            journal = msgspec.json.decode(self._file.read_bytes(), type=Journal)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise BotError(
                f"{self._file} cannot be understood: {type(error).__name__}",
                f"the originals are in {self.backup}; put them back by hand",
            ) from None
        if journal.state == "over":
            self._remove()
            return None
        return journal

    def save(self, journal: Journal) -> None:
        """Make it durable."""
        atomic_write(self._file, msgspec.json.format(msgspec.json.encode(journal)) + b"\n")

    def close(self, journal: Journal) -> None:
        """The import is over: remove everything."""
        journal.state = "over"  # first of all: from here on there may be no backup to go back to
        self.save(journal)
        self._remove()

    def _remove(self) -> None:
        """Backup and work first, the journal last, so that a killed removal goes on."""
        for place in (self.backup, self.work):
            shutil.rmtree(place, ignore_errors=True)
        self._file.unlink(missing_ok=True)
        fsync_directory(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
