"""Notices what changed in Vault while the bot trades.

Rules:

* A new database login is on the credential page within one poll; nothing is restarted.
* Other records are handed on (`change.py`), or take effect at the next start of a bot without an API; each new
  version is told once.
* A poke (`poke.py`) is followed at once, and once more with the next poll: a standby may lag behind the write.
* Vault down, sealed or refusing changes nothing for the bot. Each kind of trouble is told once when it begins, with
  what to type, and once when all is over. Refusing is another trouble than being away: it does not heal by itself.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from nasos.bot.credential import Credential
from nasos.bot.document import DATABASE, confidential, database_credential
from nasos.bot.records import ReadOne, Record
from nasos.bot.report import Report
from nasos.errors import Error, SecretDeleted, SecretNotFound
from nasos.ledger import Outcome

if TYPE_CHECKING:
    from nasos.bot.poke import Pokes

INTERVAL: Final = 2.0  # seconds: with jitter a foreign writer's change is in use within 5 s
OTHERS_EVERY: Final = 15  # polls: each read is a line in two audit logs
LONGEST: Final = 15.0  # seconds between polls while Vault does not answer
_LAST: Final = 0.2  # seconds for a thread that is told to end and reads nothing


class Changing(Protocol):
    """Brings changed records into use (`change.Changes`)."""

    def put(self, name: str, record: Record) -> None:
        """Bring it into use; returns at once."""

    def hurry(self, name: str) -> None:
        """Do not wait for a better moment with it."""


class Refresh:
    """What is known of Vault, and one step to know more."""

    def __init__(  # noqa: PLR0913, PLR0917  what it reads, and where each kind of news goes
        self,
        read: ReadOne,
        versions: Mapping[str, int],
        use_login: Callable[[Credential], object] | None,
        report: Report,
        pokes: Pokes | None = None,
        changes: Changing | None = None,
    ) -> None:
        self._read = read
        self._versions = dict(versions)
        self._use_login = use_login
        self._report = report
        self._pokes = pokes
        self._poked: set[str] = set()
        self._changes = changes
        self._failures = 0
        self._told: set[type[Error]] = set()
        self._polls = 0
        self._ended = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)

    def start(self) -> None:
        """Poll in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End; a request that is under way is not waited for."""
        self._ended = True
        os.eventfd_write(self._wake, 1)
        if self._thread.ident is not None:
            self._thread.join(_LAST)
        if not self._thread.is_alive():
            os.close(self._wake)

    def poll(self) -> None:
        """Look once at what is due, and at what was poked since the last poll."""
        names = {DATABASE} if self._use_login else set()
        if self._polls % OTHERS_EVERY == 0:
            names = set(self._versions)
        self._polls += 1
        poked, self._poked = self._poked, set()
        self._look_at(names | poked)

    @property
    def delay(self) -> float:
        """Seconds until the next poll, before jitter."""
        return float(min(LONGEST, INTERVAL * 2**self._failures))

    def _run(self) -> None:
        import random

        while not self._ended:
            due = time.monotonic() + self.delay * random.uniform(0.75, 1.25)  # noqa: S311  spreads load, hides nothing
            try:
                self._follow_pokes(due)
                if not self._ended:
                    self.poll()
            except Exception as error:  # noqa: BLE001  the bot must not lose its refresh to a mistake of ours
                self._failed(Error(f"unexpected {type(error).__name__} while refreshing"))

    def _follow_pokes(self, due: float) -> None:
        """Wait until it is time to poll, and look at each record that is named meanwhile."""
        while not self._ended and (left := due - time.monotonic()) > 0:
            if self._pokes is None:
                select.select([self._wake], [], [], left)
            elif pause := self._pokes.allowance.wait(time.monotonic()):
                select.select([self._wake], [], [], min(left, pause))
            elif named := self._pokes.wait(self._wake, left):
                self._pokes.allowance.take()
                self._look_at(named.keys())
                self._poked |= named.keys()
                self._hurry([name for name, urgent in named.items() if urgent])

    def _hurry(self, names: Iterable[str]) -> None:
        if self._changes:
            for name in names:
                self._changes.hurry(name)

    def _look_at(self, names: Collection[str]) -> None:
        try:
            for name in sorted(names):
                self._look(name)
        except Error as error:
            self._failed(error)
        else:
            self._well()

    def _look(self, name: str) -> None:
        try:
            record = self._read(name)
        except (SecretNotFound, SecretDeleted) as error:
            # Anybody who may poke can make a name up; what the bot started with is missed, once.
            if self._versions.get(name):
                self._versions[name] = 0
                self._report.event("bot.secret", name, Outcome.FAILED, {"reason": error.message})
                self._report.note(f"{error.message}; the bot goes on with what it has")
            return
        if record.version == self._versions.get(name):
            return
        self._report.redactor.learn(confidential([record]))
        applied = name == DATABASE and self._use_login is not None
        if applied and self._use_login:
            self._use_login(database_credential(record))
        self._versions[name] = record.version
        if not applied and self._changes:
            self._changes.put(name, record)
            return
        when = "new connections use it" if applied else "in use after the next start of the bot"
        self._report.event("bot.secret", name, Outcome.OK, {"version": str(record.version), "applied": when})

    def _failed(self, error: Error) -> None:
        self._failures = min(self._failures + 1, 5)
        if type(error) in self._told:
            return
        self._told.add(type(error))
        hint = {"hint": error.hint} if error.hint else {}
        self._report.event("bot.refresh", "", Outcome.FAILED, {"reason": error.message, **hint})
        self._report.note(f"secrets cannot be refreshed, the bot goes on with those it has: {error.message}")
        if error.hint:
            self._report.note(f"hint: {error.hint}")

    def _well(self) -> None:
        if self._failures:
            self._report.event("bot.refresh", "", Outcome.OK)
            self._report.note("secrets are refreshed again")
        self._failures = 0
        self._told.clear()
