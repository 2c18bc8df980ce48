"""The database URL of the configuration, completed for our SQLAlchemy plugin.

Rules: the configuration names host, database and TLS, never a login; PostgreSQL always gets its login from Vault; a
SQLite file needs none. Nothing is guessed: a login without a database, or the other way round, is an error.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from nasos.errors import BotError

_EXAMPLE: Final = '"db_url": "postgresql+psycopg://127.0.0.1:5432/NAME?sslmode=verify-full&sslrootcert=FILE"'

_OURS: Final = ("plugin", "credfd")


def needs_login(url: object) -> bool:
    """Whether the configured database asks for a login from Vault.

    Raises:
        BotError: The URL is no text, carries a login itself, or would not verify its peer.
    """
    if url is None or url == "":
        return False
    if not isinstance(url, str):
        raise BotError('"db_url" of the configuration is not text', _EXAMPLE)
    parts = urlsplit(url)
    if not parts.scheme.startswith("postgres"):
        return False
    options = dict(parse_qsl(parts.query))
    if parts.username or parts.password or options.keys() & {"password", "user", "passfile"}:
        raise BotError('"db_url" of the configuration holds a login', _EXAMPLE)
    if options.get("sslmode") != "verify-full":
        raise BotError('"db_url" of the configuration does not verify its server: sslmode=verify-full', _EXAMPLE)
    return True


def parameters(url: str) -> dict[str, str]:
    """What the bot's driver is told by ``url`` of where the database is, as libpq's names; no login."""
    parts = urlsplit(url)
    where = {"host": parts.hostname, "port": parts.port and str(parts.port), "dbname": parts.path.removeprefix("/")}
    options = {name: value for name, value in parse_qsl(parts.query) if name not in _OURS}
    return {name: value for name, value in where.items() if value} | options


def completed(url: str, fd: int) -> str:
    """``url`` with our plugin and the descriptor of the credential page."""
    parts = urlsplit(url)
    options = [pair for pair in parse_qsl(parts.query) if pair[0] not in _OURS]
    query = urlencode([*options, ("plugin", "nasos"), ("credfd", str(fd))], safe="/")
    return urlunsplit(parts._replace(query=query))
