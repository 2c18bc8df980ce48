"""One bot's database in the embedded PostgreSQL, as an import needs it: made ready, looked into, emptied.

Rules: asked as the administrator, because the bot's own login may not exist yet; only freqtrade's own tables are ever
dropped, and never because of their name alone: whoever calls `drop` has looked into them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg.rows import dict_row

from nasos.database import Endpoint, Login, connect

TABLES: Final = ("orders", "trade_custom_data", "trades", "pairlocks", "wallet_history", "KeyValueStore")
"""freqtrade's, those that refer to others first."""


@dataclass(frozen=True, slots=True)
class TradeDatabase:
    """The database of one bot."""

    server: Endpoint
    admin: Login
    bot: str
    make_ready: Callable[[], None]
    """Database, roles, login in Vault, Vault role: made where they are missing."""

    @property
    def url(self) -> str:
        """Without login."""
        return (
            f"postgresql+psycopg://127.0.0.1:{self.server.port}/{self.bot}"
            f"?sslmode=verify-full&sslrootcert={quote(str(self.server.ca_file))}"
        )

    def prepare(self) -> None:
        """See ``make_ready``."""
        self.make_ready()

    def tables(self) -> tuple[str, ...]:
        """Freqtrade's tables that are there; none also when there is no database."""
        with connect(self.server, self.admin) as db:
            if not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self.bot,)).fetchone():
                return ()
        found = {
            str(row["name"]) for row in self.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        }
        return tuple(table for table in TABLES if table in found)

    def rows(self, statement: str) -> Iterable[Mapping[str, object]]:
        """What a statement without parameters gives."""
        with self._connected() as db, db.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode()).fetchall()

    def drop(self) -> None:
        """Take freqtrade's tables out, in one transaction."""
        if self.tables():
            with self._connected() as db, db.transaction():
                for table in TABLES:
                    db.execute(f'DROP TABLE IF EXISTS "{table}"'.encode())
                db.execute("DROP TYPE IF EXISTS tradingmode")

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        with connect(self.server, Login(self.admin.username, self.admin.password, self.bot)) as db:
            yield db
