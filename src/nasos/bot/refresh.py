"""Notices what changed in Vault while the bot trades.

Rules:

* A new database login is on the credential page within one poll; nothing is restarted.
* Other records take effect at the next start of the bot; each new version is told once.
* Vault down, sealed or refusing changes nothing for the bot: told once when it begins and once when it is over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final

from nasos.bot.credential import Credential
from nasos.bot.document import DATABASE, confidential, database_credential
from nasos.bot.records import ReadOne
from nasos.bot.report import Report
from nasos.errors import Error
from nasos.ledger import Outcome
from nasos.secret import Redactor

INTERVAL: Final = 2.0  # seconds: with jitter a foreign writer's change is in use within 5 s
OTHERS_EVERY: Final = 15  # polls: each read is a line in two audit logs
LONGEST: Final = 15.0  # seconds between polls while Vault does not answer


class Refresh:
    """What is known of Vault, and one step to know more."""

    def __init__(
        self,
        read: ReadOne,
        versions: Mapping[str, int],
        use_login: Callable[[Credential], object] | None,
        redactor: Redactor,
        report: Report,
    ) -> None:
        self._read = read
        self._versions = dict(versions)
        self._use_login = use_login
        self._redactor = redactor
        self._report = report
        self._failures = 0
        self._polls = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresh", daemon=True)

    def start(self) -> None:
        """Poll in a thread of its own until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End; a request that is under way is not waited for."""
        self._stop.set()

    def poll(self) -> None:
        """Look once."""
        names = [DATABASE] if self._use_login else []
        if self._polls % OTHERS_EVERY == 0:
            names = sorted(self._versions)
        self._polls += 1
        try:
            for name in names:
                self._look(name)
        except Error as error:
            self._failed(error)
        else:
            self._well()

    @property
    def delay(self) -> float:
        """Seconds until the next poll, before jitter."""
        return float(min(LONGEST, INTERVAL * 2**self._failures))

    def _run(self) -> None:
        import random

        while not self._stop.wait(self.delay * random.uniform(0.75, 1.25)):  # noqa: S311  spreads load, hides nothing
            try:
                self.poll()
            except Exception as error:  # noqa: BLE001  the bot must not lose its refresh to a mistake of ours
                self._failed(Error(f"unexpected {type(error).__name__} while refreshing"))

    def _look(self, name: str) -> None:
        record = self._read(name)
        if record.version == self._versions.get(name):
            return
        self._redactor.learn(confidential([record]))
        applied = name == DATABASE and self._use_login is not None
        if applied and self._use_login:
            self._use_login(database_credential(record))
        self._versions[name] = record.version
        when = "new connections use it" if applied else "in use after the next start of the bot"
        self._report.event("bot.secret", name, Outcome.OK, {"version": str(record.version), "applied": when})

    def _failed(self, error: Error) -> None:
        self._failures = min(self._failures + 1, 5)
        if self._failures == 1:
            self._report.event("bot.refresh", "", Outcome.FAILED, {"reason": error.message})
            self._report.note(f"secrets cannot be refreshed, the bot goes on with those it has: {error.message}")

    def _well(self) -> None:
        if self._failures:
            self._report.event("bot.refresh", "", Outcome.OK)
            self._report.note("secrets are refreshed again")
        self._failures = 0
