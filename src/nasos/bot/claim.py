"""One bot per database, also across hosts: who may trade, told while the bot starts and for as long as it runs.

Rules:

* The launcher holds a lock in the bot's own database (`advisory.py`). Until it has it, and whenever it lost it, the
  bot's login is withheld: nobody who cannot prove to be alone opens a session. So the bot may start at once, and wait.
* Lost is not taken. A database that is away, or restarted, stops nobody: nobody else can have its lock either. The
  lock is asked for again until the database answers, and the bot trades on with what it has.
* Taken is the end. Whoever has the lock is right; after `PATIENCE` the other launcher stops its bot and says who has
  it.
* Who gets the lock and finds another bot's session lets go of it again: that bot's launcher lost it for a moment only.
* Vault has no say in this, and no Vault is needed for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nasos.bot.credential import Credential, CredentialPage
from nasos.bot.report import Report
from nasos.errors import AlreadyRunning, DatabaseError, Error
from nasos.ledger import Outcome

if TYPE_CHECKING:
    from nasos.bot.advisory import Holder, Session, Tag

PATIENCE: Final = 5.0
"""Seconds that somebody else may have the database: a killed launcher's session ends in a moment, and a launcher that
is only looking lets go again."""
_MOVE_SECONDS: Final = 5.0
_AGAIN: Final = 2.0  # seconds between tries to log in with a new credential while the old session lives
_PAUSES: Final = (0.05, 2.0)  # seconds between tries to reach the database: the first, doubled up to the last


class Claim:
    """The bot's claim on its database, kept by a thread of its own."""

    def __init__(self, url: str, page: CredentialPage, report: Report, stop_bot: Callable[[], object]) -> None:
        self._url = url
        self._page = page
        self._report = report
        self._stop_bot = stop_bot
        self._credential: Credential | None = None
        self._kept_back = 0
        self._told = False
        self._ended = threading.Event()
        self._wake, self._poke = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._refusal: AlreadyRunning | None = None
        self._thread = threading.Thread(target=self._run, name="claim", daemon=True)

    def use(self, credential: Credential) -> None:
        """Log in with this from now on; the first call begins the work."""
        first, self._credential = self._credential is None, credential
        if first:
            self._thread.start()
        else:
            self._rouse()

    def verify(self) -> None:
        """Nothing, as long as nobody else has the database.

        Raises:
            AlreadyRunning: Somebody has; names who.
        """
        if self._refusal is not None:
            raise self._refusal

    def close(self) -> None:
        """Give the claim up: the bot is gone."""
        self._ended.set()
        self._rouse()
        if self._credential is not None:
            self._thread.join(1.0)  # it may wait for a database that does not answer; it ends with us

    def _run(self) -> None:
        from nasos.bot.advisory import Tag  # psycopg takes longer to import than the bot to be started

        tag = Tag.make(self._report.bot)
        try:
            self._page.name(tag.bot)
            while not self._ended.is_set():
                try:
                    self._hold(tag)
                except AlreadyRunning:
                    raise
                except Exception as error:  # noqa: BLE001  a mistake of ours must not end the only thread that claims
                    self._page.withhold()
                    self._trouble(DatabaseError(f"unexpected {type(error).__name__} at the bot's database"))
                    self._ended.wait(_AGAIN)
        except AlreadyRunning as refusal:
            self._refusal = refusal
            self._report.event("bot.claim", "", Outcome.REFUSED, {"reason": refusal.message})
            self._stop_bot()

    def _hold(self, tag: Tag) -> None:
        """Get the lock and keep it until it is lost."""
        session = self._session(tag)
        try:
            if session is None or not self._taken(session):
                return
            self._page.give()
            self._well()
            while not self._ended.is_set():
                session = self._kept(session, tag)
        except DatabaseError as error:
            self._page.withhold()
            self._trouble(error)
        finally:
            if session is not None:
                session.close()

    def _session(self, tag: Tag) -> Session | None:
        from nasos.bot.advisory import Session

        pause, longest = _PAUSES
        while not self._ended.is_set():
            try:
                return Session(self._url, self._current(), tag)
            except DatabaseError as error:
                self._trouble(error)
            self._ended.wait(pause)
            pause = min(2 * pause, longest)
        return None

    def _taken(self, session: Session) -> bool:
        """Whether the session has the lock; False when the claim was given up first.

        Raises:
            AlreadyRunning: Somebody else has the database.
        """
        holder: Holder | None = None
        deadline = time.monotonic() + PATIENCE
        while not self._ended.is_set():
            other = session.take()
            if other is None:
                return True
            if other != holder:
                holder = other
                self._report.note(f"waits: {other} has the bot's database")
            if time.monotonic() > deadline:
                raise AlreadyRunning(
                    f"{other} has the database of this bot",
                    "stop that one, or give this bot a database of its own",
                )
            self._ended.wait(0.1)
        return False

    def _kept(self, session: Session, tag: Tag) -> Session:
        """The session that has the lock after something happened: a new one when the credential is another."""
        moving = session.version != self._current().version
        if moving:
            try:
                return self._moved(session, tag)
            except DatabaseError as error:
                self._keep_old(error)
        session.wait(self._wake, _AGAIN if moving else None)
        self._drain()
        return session

    def _moved(self, session: Session, tag: Tag) -> Session:
        from nasos.bot.advisory import Session

        newer = Session(self._url, self._current(), tag)
        try:
            newer.take_from(session, _MOVE_SECONDS)
        except Error:
            newer.close()
            raise
        return newer

    def _keep_old(self, error: DatabaseError) -> None:
        if self._kept_back != self._current().version:
            self._kept_back = self._current().version
            self._report.note(f"the claim on the database stays with the old login for now: {error.message}")

    def _rouse(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it is awake already
            os.write(self._poke, b".")

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 512)

    def _current(self) -> Credential:
        assert self._credential is not None, "the thread starts with one"  # noqa: S101  for mypy
        return self._credential

    def _trouble(self, error: DatabaseError) -> None:
        if self._told or self._ended.is_set():
            return
        self._told = True
        self._report.event("bot.claim", "", Outcome.FAILED, {"reason": error.message})
        self._report.note(f"{error.message}; new connections of the bot wait until this is settled")

    def _well(self) -> None:
        if self._told:
            self._told = False
            self._report.event("bot.claim", "", Outcome.OK)
            self._report.note("the bot's database is there again, and this bot's alone")
