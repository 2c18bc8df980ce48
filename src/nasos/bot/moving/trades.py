"""The SQLite file, copied; what is in a trade database, and whether two hold the same.

Rules: the operator's file is only read, as bytes: opening it as a database could already change it (WAL recovery, and
freqtrade's own migrations). Two databases are the same when every column of every row is: numbers by value, times by
their text, in the order of ``id``. Counts and sums are for people; the digests decide.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import BotError, FileRefused

TABLES: Final = ("trades", "orders", "pairlocks", "trade_custom_data", "wallet_history", "KeyValueStore")
"""All tables of freqtrade 2026.9."""

Rows = Callable[[str], Iterable[Mapping[str, object]]]
"""A statement without parameters -> its rows by column; on SQLite and on PostgreSQL."""

_DIGITS: Final = 12  # of sums, which are added up in another order elsewhere; rows are compared exactly


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a trade database holds."""

    open: int
    closed: int
    stake: str
    """Sum of ``stake_amount``."""
    profit: str
    """Sum of ``close_profit_abs``."""
    counts: dict[str, int]
    """Table -> rows."""
    digests: dict[str, str]
    """Table -> SHA-256 of all its rows."""

    def __str__(self) -> str:
        return (
            f"{self.open} open and {self.closed} closed trades, {self.counts.get('orders', 0)} orders, "
            f"stakes {self.stake}, profit {self.profit}"
        )

    @property
    def empty(self) -> bool:
        """Whether there is no row anywhere."""
        return not any(self.counts.values())


def difference(before: Contents, after: Contents) -> str | None:
    """What the second lacks or has besides; None when they are the same."""
    for table in TABLES:
        one, other = before.counts.get(table, 0), after.counts.get(table, 0)
        if one != other:
            return f"{table} has {one} rows in the SQLite file and {other} in PostgreSQL"
        if one and before.digests.get(table) != after.digests.get(table):
            return f"rows of {table} differ"
    return None


def contents(rows: Rows, tables: Iterable[str]) -> Contents:
    """What is in ``tables`` of a database."""
    there = [table for table in TABLES if table in set(tables)]
    found = {table: _digest(rows(f'SELECT * FROM "{table}" ORDER BY id')) for table in there}  # noqa: S608  our names
    figures: Mapping[str, object] = {}
    if "trades" in there:
        [figures] = rows(
            "SELECT COALESCE(SUM(CASE WHEN is_open THEN 1 ELSE 0 END), 0) AS open, COUNT(*) AS trades,"
            " COALESCE(SUM(stake_amount), 0) AS stake, COALESCE(SUM(close_profit_abs), 0) AS profit FROM trades"
        )
    opened, trades = int(str(figures.get("open", 0))), int(str(figures.get("trades", 0)))
    return Contents(
        open=opened,
        closed=trades - opened,
        stake=f"{float(str(figures.get('stake', 0))):.{_DIGITS}g}",
        profit=f"{float(str(figures.get('profit', 0))):.{_DIGITS}g}",
        counts={table: count for table, (count, _) in found.items()},
        digests={table: digest for table, (_, digest) in found.items()},
    )


def counts(rows: Rows, tables: Iterable[str]) -> dict[str, int]:
    """How many rows the tables have that every freqtrade since 2018 knows; for a file that was not migrated yet."""
    found = {}
    for table in {"trades", "orders"} & set(tables):
        [row] = rows(f'SELECT COUNT(*) AS rows FROM "{table}"')  # noqa: S608  our names
        found[table] = int(str(row["rows"]))
    return found


def identities(rows: Rows, tables: Iterable[str]) -> set[tuple[str, str, str]]:
    """What tells one trade from all others, also when only a part of them was copied."""
    if "trades" not in set(tables):
        return set()
    return {
        (_plain(row["id"]), _plain(row["pair"]), _plain(row["open_date"]))
        for row in rows("SELECT id, pair, open_date FROM trades")
    }


def _digest(rows: Iterable[Mapping[str, object]]) -> tuple[int, str]:
    digest, count = hashlib.sha256(), 0
    for row in rows:
        count += 1
        digest.update(repr(sorted((name, _plain(value)) for name, value in row.items() if value is not None)).encode())
    return count, digest.hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, bool | int | float):
        return repr(float(value))
    # SQLite keeps times as text, always with microseconds.
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else str(value)


@contextlib.contextmanager
def sqlite_rows(path: Path) -> Iterator[tuple[Rows, tuple[str, ...]]]:
    """A copy of ours, and the tables that it has.

    Raises:
        BotError: It is no intact SQLite database.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.row_factory = sqlite3.Row
            [verdict] = database.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise BotError("the trade database is damaged", 'sqlite3 FILE ".recover" may save what is left')
            tables = tuple(
                str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            )
            yield lambda statement: map(dict, database.execute(statement)), tables
    except sqlite3.DatabaseError as error:
        raise BotError(f"the trade database cannot be read as SQLite: {error}", "is it the right file?") from None


def copy(database: Path, target: Path) -> str:
    """Copy the file and what belongs to it (``-wal``, ``-journal``) to ``target``; the digest of what was read.

    Raises:
        FileRefused: It cannot be read or written.
    """
    digest = hashlib.sha256()
    try:
        for suffix in ("", "-wal", "-journal"):
            source, copied = Path(f"{database}{suffix}"), Path(f"{target}{suffix}")
            copied.unlink(missing_ok=True)
            if suffix and not source.exists():
                continue
            digest.update(suffix.encode() + _hash(source))
            shutil.copyfile(source, copied)
            copied.chmod(0o600)
        Path(f"{target}-shm").unlink(missing_ok=True)
    except OSError as error:
        raise FileRefused(f"cannot copy {database}: {(error.strerror or '').lower()}", f'"ls -l {database}"') from None
    return digest.hexdigest()


def fingerprint(database: Path) -> str:
    """The digest that `copy` would give now."""
    digest = hashlib.sha256()
    for suffix in ("", "-wal", "-journal"):
        source = Path(f"{database}{suffix}")
        if not suffix or source.exists():
            digest.update(suffix.encode() + _hash(source))
    return digest.hexdigest()


def _hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
