"""Sessions: families of refresh tokens, rotated on use, ended at once.

Rules:

* A refresh token is good for one renewal, which gives the next one. A session has one living refresh token, never two.
* A token that was used before ends its whole session (RFC 9700, 4.14.2): either its holder stole it, or the thief was
  faster. Every token of a session carries the same secret of its family, so that even the oldest is recognised, and a
  stranger who knows only the session's name can end nothing.
* The grace. A client that lost the answer to a renewal, or whose second tab asked at the same time, sends the token
  again. Within ten seconds, and from the same client, it is given *the same* answer: no second living token comes of
  it, and as soon as the next token was used, the grace is over. So the most that a thief of a used token can get is
  what the client itself holds, and the second of the two to use that ends the session. The answer is kept in memory
  only: after a restart it is ``lost``, which ends nothing and asks for a new login.
* A session is one bot's: who shows its refresh token under another bot's host name is refused, and nothing is used up.
* Times are two: without a renewal, and altogether. A session that began in the future (a clock was wrong) counts for
  nothing.
* What ended stays ended: a row says when and why until it can matter no more.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from nasos.errors import SessionRefused
from nasos.gateway import opaque
from nasos.gateway.access import Role
from nasos.gateway.storage import Storage
from nasos.secret import Secret

MOST: Final = 32
"""Living sessions per user; one more ends the one that was renewed the longest ago."""
KEPT: Final = timedelta(days=1)
"""How long an ended session is remembered."""
_CLOCK: Final = timedelta(minutes=5)
"""By which a clock may have been put back."""
_FAMILY: Final = 22
"""Characters of a refresh token that all of its session share: 131 bits. The other 21 (125 bits) are its own."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives."""

    idle: timedelta = timedelta(hours=24)
    """Without a renewal."""
    whole: timedelta = timedelta(days=14)
    """Whatever it does; then the person logs in again."""
    grace: timedelta = timedelta(seconds=10)
    """In which a client that lost the answer to a renewal is given the same answer again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that began, or was renewed."""

    sid: str
    refresh: Secret
    """To be kept by the client alone; good for one renewal."""
    user: str
    role: Role
    ends: datetime
    """When the refresh token ends if it is not used."""


Renewed = Opened


@dataclass(frozen=True, slots=True)
class Session:
    """A session as a list shows it: nothing that opens anything."""

    sid: str
    user: str
    role: Role
    client: str
    began: datetime
    renewed: datetime
    ends: datetime


class Sessions:
    """The sessions of one gateway; every method may be called from any thread.

    What another process does to the same file (the operator's command) counts from the next call on. One process
    renews: the grace is in its memory.
    """

    def __init__(self, storage: Storage, lifetimes: Lifetimes | None = None) -> None:
        self._storage = storage
        self._times = lifetimes or Lifetimes()
        self._answers: dict[bytes, tuple[str, datetime, Renewed]] = {}
        self._renewing = threading.Lock()

    @classmethod
    def open(cls, path: Path, lifetimes: Lifetimes | None = None) -> Self:
        """The file at ``path``, made if it is missing (0600, in a private directory).

        Raises:
            FileRefused: Wrong owner or mode, no database, or it cannot be written.
        """
        return cls(Storage.open(path), lifetimes)

    def close(self) -> None:
        """Let go of the file."""
        self._storage.close()

    def start(self, user: str, role: Role, client: str, now: datetime, *, bot: str = "") -> Opened:
        """A new session of ``user`` at ``bot``; ``client`` says from where, for lists and for the grace."""
        sid, family = opaque.random_text(_FAMILY), opaque.random_text(_FAMILY)
        token, moment = _token(family), now.timestamp()
        with self._storage.change() as rows:
            rows.execute(
                "UPDATE sessions SET ended = ?, reason = 'one too many' WHERE sid IN (SELECT sid FROM sessions"
                " WHERE user = ? AND ended IS NULL ORDER BY renewed DESC LIMIT -1 OFFSET ?)",
                (moment, user, MOST - 1),
            )
            rows.execute(
                "INSERT INTO sessions (sid, family, current, user, role, client, bot, began, renewed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sid, opaque.digest(family), _digest(token), user, role.value, client, bot, moment, moment),
            )
        return Opened(sid, token, user, role, now + min(self._times.idle, self._times.whole))

    def renew(self, refresh: Secret, client: str, now: datetime, *, bot: str = "") -> Renewed:
        """The session goes on with a new refresh token; this one is used up.

        Raises:
            SessionRefused: It is unknown, another bot's, ended, expired, its answer is lost, or it was used before
                (``reused``: the whole session is ended). The error names session and user where they are known, for
                the log.
        """
        random_part = opaque.random_part(refresh.reveal(), opaque.REFRESH)
        if random_part is None:
            raise SessionRefused("no refresh token")
        family, shown = random_part[:_FAMILY], _digest(refresh)
        with self._renewing, self._storage.change() as rows:
            row = rows.execute("SELECT * FROM sessions WHERE family = ?", (opaque.digest(family),)).fetchone()
            self._refuse_dead(row, now)
            if row["bot"] != bot:
                _refuse("a session of another bot", row)
            if row["current"] == shown:
                return self._rotate(rows, row, family, client, now)
            again = self._again(row, shown, client, now)
            if again is None:
                rows.execute(*_ending(row["sid"], "reused", now))
        return again or _refuse("used before: the session is ended", row, reused=True)

    def end(self, sid: str, reason: str, now: datetime) -> bool:
        """End one session at once; False when none of this name was alive."""
        with self._storage.change() as rows:
            return rows.execute(*_ending(sid, reason, now)).rowcount > 0

    def end_all(self, user: str, reason: str, now: datetime) -> int:
        """End all sessions of a user at once; how many there were."""
        with self._storage.change() as rows:
            return rows.execute(
                "UPDATE sessions SET ended = ?, reason = ? WHERE user = ? AND ended IS NULL",
                (now.timestamp(), reason, user),
            ).rowcount

    def active(self, sid: str, now: datetime) -> bool:
        """Whether access tokens of this session count."""
        rows = self._storage.look("SELECT began, renewed, ended FROM sessions WHERE sid = ?", (sid,))
        return bool(rows) and self._fault(rows[0], now) is None

    def alive(self, now: datetime, user: str | None = None) -> Sequence[Session]:
        """The sessions that live, of one user or of all; the newest first."""
        rows = self._storage.look("SELECT * FROM sessions WHERE ended IS NULL ORDER BY began DESC, sid")
        return [self._session(row) for row in rows if user in (None, row["user"]) and self._fault(row, now) is None]

    def tidy(self, now: datetime) -> int:
        """Forget what can matter no more; how many sessions."""
        moment = now.timestamp()
        with self._storage.change() as rows:
            return rows.execute(
                "DELETE FROM sessions WHERE coalesce(ended, min(renewed + ?, began + ?)) < ?",
                (self._times.idle.total_seconds(), self._times.whole.total_seconds(), moment - KEPT.total_seconds()),
            ).rowcount

    def _rotate(self, rows: sqlite3.Connection, row: sqlite3.Row, family: str, client: str, now: datetime) -> Renewed:
        token = _token(family)
        rows.execute(
            "UPDATE sessions SET previous = current, current = ?, client = ?, renewed = ? WHERE sid = ?",
            (_digest(token), client, now.timestamp(), row["sid"]),
        )
        ends = min(now + self._times.idle, _moment(row["began"]) + self._times.whole)
        renewed = Renewed(row["sid"], token, row["user"], Role(row["role"]), ends)
        over = [used for used, (_, when, _) in self._answers.items() if not now - when < self._times.grace]
        for used in over:
            del self._answers[used]
        self._answers[row["current"]] = (client, now, renewed)
        return renewed

    def _again(self, row: sqlite3.Row, shown: bytes, client: str, now: datetime) -> Renewed | None:
        """The answer that was given to this used token, inside the grace; None: it comes too late or from elsewhere.

        Raises:
            SessionRefused: It would be in the grace, but the answer is no longer known.
        """
        if row["previous"] != shown or row["client"] != client:
            return None
        if not 0 <= now.timestamp() - row["renewed"] < self._times.grace.total_seconds():
            return None
        if shown not in self._answers:
            _refuse("the answer to its renewal is lost", row)
        return self._answers[shown][2]

    def _refuse_dead(self, row: sqlite3.Row | None, now: datetime) -> None:
        if row is None:
            raise SessionRefused("of no session that is known")
        fault = self._fault(row, now)
        if fault is not None:
            _refuse(fault, row)

    def _fault(self, row: sqlite3.Row, now: datetime) -> str | None:
        """Why the session does not count; None when it does."""
        if row["ended"] is not None:
            return "the session has ended"
        moment = now.timestamp()
        if row["began"] > moment + _CLOCK.total_seconds():
            return "the session is from the future"
        idle, whole = moment - row["renewed"], moment - row["began"]
        if idle >= self._times.idle.total_seconds() or whole >= self._times.whole.total_seconds():
            return "the session has expired"
        return None

    def _session(self, row: sqlite3.Row) -> Session:
        began, renewed = _moment(row["began"]), _moment(row["renewed"])
        ends = min(renewed + self._times.idle, began + self._times.whole)
        return Session(row["sid"], row["user"], Role(row["role"]), row["client"], began, renewed, ends)


def _token(family: str) -> Secret:
    return opaque.assembled(opaque.REFRESH, family + opaque.random_text(opaque.RANDOM - _FAMILY))


def _digest(token: Secret) -> bytes:
    return opaque.digest(token.reveal())


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _ending(sid: str, reason: str, now: datetime) -> tuple[str, tuple[float, str, str]]:
    statement = "UPDATE sessions SET ended = ?, reason = ? WHERE sid = ? AND ended IS NULL"
    return statement, (now.timestamp(), reason, sid)


def _refuse(reason: str, row: sqlite3.Row, *, reused: bool = False) -> Renewed:
    refused = SessionRefused(reason)
    refused.session, refused.user, refused.reused = row["sid"], row["user"], reused
    raise refused
