"""SQLAlchemy plugin: each database connection logs in with the current credential, and old ones drain.

Runs inside the bot's process, as ``db_url=postgresql+psycopg://host/db?plugin=nasos&credfd=N``. Rules:

* User and password are read at each connect and stand in no URL, argument or log line.
* Every checkout is pinged first: freqtrade itself sets no pool option, and dies of one idle connection that PostgreSQL
  ended (freqtrade issues 7882, 12509, 13103). One that is ended in mid-transaction still ends freqtrade (measured).
* A pooled connection that logged in with another version than the current one is closed at its next checkout and
  replaced, so that after a rotation the old role empties by itself. Nothing is interrupted in mid-transaction.
* A credential that cannot be read at checkout changes nothing: the bot trades on with the connection that it has.
* A new connection waits for a login that is withheld (`claim.py`): the database is away, or about to be another bot's.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.exc import DisconnectionError

from nasos.bot.credential import read
from nasos.errors import BotError

_VERSION: Final = "nasos.credential.version"
_PATIENCE: Final = 30.0
"""Seconds; a restarted PostgreSQL is back in two. After it freqtrade ends and its launcher starts it again."""


class NasosPlugin(CreateEnginePlugin):  # type: ignore[misc]  # SQLAlchemy lives in the bot's environment only
    """Registered as the entry point ``nasos`` in the group ``sqlalchemy.plugins``."""

    def __init__(self, url: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401  SQLAlchemy's own signature
        descriptor = url.query.get("credfd", "")
        if not isinstance(descriptor, str) or not descriptor.isdecimal():
            raise BotError("the database URL has plugin=nasos but no credfd", 'start the bot with "nasos run"')
        if url.username or url.password:
            raise BotError("the database URL holds a user name or password; plugin=nasos brings its own")
        self._fd = int(descriptor)
        kwargs["pool_pre_ping"] = True

    def update_url(self, url: Any) -> Any:  # noqa: ANN401
        """The URL as the dialect may see it."""
        return url.difference_update_query(["credfd"])

    def engine_created(self, engine: Any) -> None:  # noqa: ANN401
        """Listen for connects and checkouts."""
        event.listen(engine, "do_connect", self._log_in)
        event.listen(engine, "checkout", self._drain)

    def _log_in(self, dialect: object, record: Any, args: object, parameters: dict[str, Any]) -> None:  # noqa: ANN401
        credential = read(self._fd, _PATIENCE)
        parameters["user"] = credential.username
        parameters["password"] = credential.password.reveal()
        if credential.application:
            parameters["application_name"] = credential.application
        if record is not None:
            record.info[_VERSION] = credential.version

    def _drain(self, connection: object, record: Any, proxy: object) -> None:  # noqa: ANN401
        try:
            current = read(self._fd).version
        except BotError:
            return
        if record.info.get(_VERSION) != current:
            raise DisconnectionError("the database credential was rotated")
