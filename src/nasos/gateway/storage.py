"""The gateway's one file: sessions, API tokens and used codes, in SQLite, of which a copy opens nothing.

Rules:

* What was answered is on the disk: WAL with ``synchronous=FULL``, one transaction per change. A gateway that was killed
  knows, when it is back, every revocation that it ever confirmed.
* 0600, in a directory of the owner's alone; a link, another owner or another mode is refused. SQLite gives its two
  companions (``-wal``, ``-shm``) the mode of the file.
* Readers see the newest state, also what another process wrote: nothing is mirrored in memory.
* A file that cannot be understood is no empty file: the gateway does not start on it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from nasos.errors import FileRefused, GatewayError
from nasos.files import PRIVATE, private_directory

VERSION: Final = 2
PATIENCE: Final = 5.0
"""Seconds to wait for another process's transaction."""

_SCHEMA: Final = f"""
CREATE TABLE sessions (
    sid TEXT PRIMARY KEY, family BLOB NOT NULL UNIQUE, current BLOB NOT NULL, previous BLOB, user TEXT NOT NULL,
    role TEXT NOT NULL, client TEXT NOT NULL, bot TEXT NOT NULL, began REAL NOT NULL,
    renewed REAL NOT NULL, ended REAL, reason TEXT
) STRICT;
CREATE INDEX sessions_of ON sessions (user) WHERE ended IS NULL;
CREATE TABLE api_tokens (
    digest BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL,
    bots TEXT NOT NULL, made REAL NOT NULL, ends REAL NOT NULL, ended REAL
) STRICT;
CREATE TABLE spent_codes (name TEXT PRIMARY KEY, step INTEGER NOT NULL) STRICT;
CREATE TABLE enrolments (name TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, ends REAL NOT NULL, taken REAL) STRICT;
PRAGMA user_version = {VERSION};
"""


class Storage:
    """The open file: one connection that writes, one that reads, each used by one thread at a time."""

    def __init__(self, path: Path, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self._path = path
        self._writer, self._writing = writer, threading.Lock()
        self._reader, self._reading = reader, threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at ``path``, made if it is missing.

        Raises:
            FileRefused: Wrong owner or mode, no database of ours, or it cannot be written.
        """
        private_directory(path.parent)
        _claim(path)
        with _told(path):
            writer = _connected(path)
            try:
                _prepare(writer, path)
                return cls(path, writer, _connected(path))
            except BaseException:
                writer.close()
                raise

    def close(self) -> None:
        """Let go of the file."""
        with self._writing, self._reading, _told(self._path):
            self._reader.close()
            self._writer.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all processes; on the disk when the block ends.

        Raises:
            GatewayError: It could not be stored; nothing was changed.
        """
        with self._writing, _told(self._path, GatewayError):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # SQLite ends it by itself when the disk is full
                    self._writer.execute("ROLLBACK")
                raise

    def look(self, query: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """The rows of a query, as they are now.

        Raises:
            GatewayError: The file cannot be read.
        """
        with self._reading, _told(self._path, GatewayError):
            return self._reader.execute(query, values).fetchall()


def _claim(path: Path) -> None:
    """Make the file if it is missing; refuse one that others could read or replace."""
    try:
        # Never opened by us where it exists: closing any descriptor of a file drops all locks that this process has on
        # it (fcntl(2)), also SQLite's; another process would then take itself for the last and remove the log in use.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE))
        status = path.lstat()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise FileRefused(f"cannot open {path}: {reason}", f'"ls -l {path}" shows it') from None
    if not stat.S_ISREG(status.st_mode):
        raise FileRefused(f"{path} is not a regular file", f'"ls -l {path}" shows what it is')
    if status.st_uid != os.geteuid():
        raise FileRefused(f"{path} belongs to uid {status.st_uid}", f"chown {os.geteuid()} {path}")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise FileRefused(f"{path} can be read by other users", f"chmod 600 {path}")


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """WAL, and our tables at our version, made by whoever comes first."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
    elif version != VERSION:
        connection.execute("ROLLBACK")
        raise FileRefused(f"{path} is of another version of nasos, or not its file", f"mv {path} {path}.other")
    connection.execute("COMMIT")
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError("damaged")


@contextlib.contextmanager
def _told(path: Path, kind: type[FileRefused | GatewayError] = FileRefused) -> Iterator[None]:
    """SQLite's own words become ours; a damaged file is put aside by a person, not by us."""
    try:
        yield
    except sqlite3.OperationalError as error:  # busy, full, read-only
        raise kind(f"cannot use {path}: {error}", f"df -h {path.parent}") from None
    except sqlite3.DatabaseError:
        raise kind(
            f"{path} is damaged; without it all sessions and API tokens end", f"mv {path} {path}.damaged"
        ) from None
