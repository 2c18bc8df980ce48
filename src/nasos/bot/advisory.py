"""One session at the bot's own database, and the lock that one session at a time can hold there.

Rules:

* A session advisory lock: the server drops it with the session, so that no crash leaves one behind. It is scoped to
  the database. The bot's name is no part of the key: two bots of two names would mix their trades all the same.
* A peer that vanished without a word is noticed by us (11 s) before it is by the server (20 s, set for this session
  alone): who lost the lock knows it before somebody else can have it. A pooler that would share the session among
  clients refuses these settings.
* Credentials change without a gap: the new session queues for the lock before the old one lets go, and others, who
  only ever try, cannot pass a queue.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from nasos.bot.credential import Credential
from nasos.bot.database import parameters
from nasos.database import said
from nasos.errors import DatabaseError

KEY: Final = int.from_bytes(hashlib.sha256(b"nasos: one bot per database").digest()[:8], signed=True)
_NAME_LIMIT: Final = 63  # bytes of an application_name: NAMEDATALEN - 1

_OURS: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,  # milliseconds that sent data may stay unacknowledged
}
_SERVERS: Final = (
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    " -c idle_session_timeout=0 -c statement_timeout=0 -c lock_timeout=0"
)

_HOLDER: Final = """
    SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = %s AND l.objid::bigint = %s AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_QUEUE: Final = _HOLDER.replace("a.application_name", "count(*)").replace("l.granted", "NOT l.granted")
_HALVES: Final = (KEY >> 32 & 0xFFFFFFFF, KEY & 0xFFFFFFFF)
_BOTS: Final = """
    SELECT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND starts_with(application_name, 'nasos bot ')
    AND NOT starts_with(application_name, %s) LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Tag:
    """Who we are, in the names that our sessions give themselves."""

    token: str
    """Random: pids and host names repeat."""
    rest: str

    @classmethod
    def make(cls, bot: str) -> Tag:
        """A new one for this process."""
        return cls(os.urandom(4).hex(), f"{os.getpid()} {bot}@{socket.gethostname()}")

    @property
    def launcher(self) -> str:
        """For the session that holds the lock."""
        return self._named("run")

    @property
    def bot(self) -> str:
        """For the bot's own sessions."""
        return self._named("bot")

    def _named(self, what: str) -> str:
        return f"nasos {what} {self.token} {self.rest}".encode()[:_NAME_LIMIT].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the database now, as far as the session's name tells."""

    name: str

    def __str__(self) -> str:
        words = self.name.split(" ", 4)
        if len(words) < 5 or words[0] != "nasos":
            return f"another program ({self.name or 'without a name'})"
        bot, _, host = words[4].partition("@")
        kind = "a launcher" if words[1] == "run" else "a bot that its launcher left behind"
        return f'{kind} of the bot "{bot}" on {host}, pid {words[3]},'


class Session:
    """A verified session of the bot's role.

    Raises:
        DatabaseError: On making it: refused or not reachable. The text never holds the password.
    """

    def __init__(self, url: str, credential: Credential, tag: Tag) -> None:
        self.version = credential.version
        self._tag = tag
        login = {"user": credential.username, "password": credential.password.reveal()}
        try:
            self._connection = psycopg.connect(make_conninfo("", **_options(url, tag), **login), autocommit=True)
        except psycopg.Error as error:
            raise DatabaseError(f"the bot's database cannot be asked: {said(error)}", "nasos status") from None

    def take(self) -> Holder | None:
        """Try to get the lock, in a database without another bot; None when it is ours, else who stands in the way.

        Raises:
            DatabaseError: The session ended.
        """
        if not self._ask("SELECT pg_try_advisory_lock(%s)", KEY):
            return Holder(str(self._ask(_HOLDER, *_HALVES) or ""))
        left = self._ask(_BOTS, f"nasos bot {self._tag.token} ")
        if left is None:
            return None
        # Its launcher may have lost its session only: let it have the lock back.
        self._ask("SELECT pg_advisory_unlock(%s)", KEY)
        return Holder(str(left))

    def take_from(self, older: Session, seconds: float) -> None:
        """Get the lock from a session of ours that has it, and close that one.

        Raises:
            DatabaseError: It did not work out; ``older`` has the lock still, or has ended.
        """
        wire = self._connection.pgconn
        deadline = time.monotonic() + seconds
        with _mapped():
            wire.send_query(f"SELECT pg_advisory_lock({KEY})".encode())
            while not older._ask(_QUEUE, *_HALVES):
                if time.monotonic() > deadline:
                    raise DatabaseError("the new session does not queue for the lock")
                time.sleep(0.01)
            older.close()
            while wire.is_busy():
                if not select.select([wire.socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    raise DatabaseError("the new session does not get the lock")
                wire.consume_input()
            while wire.get_result() is not None:
                pass

    def wait(self, wake: int, seconds: float | None) -> None:
        """Wait until descriptor ``wake`` is readable, the time is over, or the session ended.

        Raises:
            DatabaseError: It ended, and the lock with it.
        """
        wire = self._connection.pgconn
        with _mapped():
            ready = select.select([wire.socket, wake], [], [], seconds)[0]
            if wire.socket in ready:
                wire.consume_input()

    def close(self) -> None:
        """End it, and with it the lock."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, statement: str, *values: object) -> object:
        """The first column of the first row; None when there is no row."""
        with _mapped():
            row = self._connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]


def _options(url: str, tag: Tag) -> dict[str, str | int]:
    """As the bot's own driver takes them from the URL, where libpq knows them; then ours."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    given = {name: value for name, value in parameters(url).items() if name in known}
    settings = f"{given.get('options', '')} {_SERVERS}".strip()
    return {
        **given,
        **_OURS,
        "options": settings,
        "application_name": tag.launcher,
    }


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DatabaseError(f"the session at the bot's database ended: {said(error)}", "nasos status") from None
