"""Copies a trade database from SQLite into PostgreSQL in milliseconds, where freqtrade's converter needs ten seconds.

For the tests of what surrounds a conversion: comparison, kill, undo. The real converter has its own tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from nasos import database

_TYPES = {
    "BOOLEAN": "boolean",
    "FLOAT": "double precision",
    "DATETIME": "timestamp",
    "INTEGER": "bigint",
    "BIGINT": "bigint",
}


def quick_converter(server: database.Endpoint, admin: database.Login, bot: str) -> Callable[[Path, str], None]:
    """A converter into the database of ``bot``."""

    def convert(source: Path, url: str) -> None:
        assert f"/{bot}?" in url
        with (
            closing(sqlite3.connect(source)) as old,
            database.connect(server, database.Login(admin.username, admin.password, bot)) as new,
        ):
            for [table] in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                _copy(old, new, table)

    return convert


def _copy(old: sqlite3.Connection, new: psycopg.Connection, table: str) -> None:
    columns = [(row[1], _TYPES.get(row[2], "text")) for row in old.execute(f'PRAGMA table_info("{table}")')]
    new.execute(f'CREATE TABLE "{table}" ({", ".join(f"{name} {kind}" for name, kind in columns)})'.encode())
    for row in old.execute(f'SELECT * FROM "{table}"').fetchall():  # noqa: S608  a test's own names
        values = [bool(value) if kind == "boolean" and value is not None else value
                  for value, (_, kind) in zip(row, columns, strict=True)]  # fmt: skip
        marks = ", ".join(["%s"] * len(values))
        new.execute(f'INSERT INTO "{table}" VALUES ({marks})'.encode(), values)  # noqa: S608  as above
