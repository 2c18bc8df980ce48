"""One-time links by which somebody enrols his second factor himself; only SHA-256 is kept.

Rules:

* A link is one person's, until an hour that is named when it is made; the next one for him replaces it.
* It counts once: taking it is one statement, so that of two who come at the same instant one is refused.
* As long as it was not taken its person cannot log in: a second factor counts when its holder has shown a code of it. A
  link that ended unused leaves it so, until there is another one.
* It opens nothing by itself; whoever shows it shows the password, too.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from nasos.errors import UsageError
from nasos.gateway import opaque
from nasos.gateway.storage import Storage
from nasos.secret import Secret

LONGEST: Final = timedelta(hours=72)


class Enrolments:
    """The links of one gateway; made by other processes, which counts at once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def offer(self, name: str, now: datetime, ends: datetime) -> Secret:
        """A new link for this person, in the place of any before.

        Raises:
            UsageError: An end that has passed or is too far away.
        """
        if not now < ends <= now + LONGEST:
            raise UsageError(f"a link ends in {LONGEST // timedelta(hours=1)} hours at the latest", "--hours 24")
        link = opaque.assembled(opaque.ENROLMENT, opaque.random_text(opaque.RANDOM))
        with self._storage.change() as rows:
            rows.execute(
                "INSERT OR REPLACE INTO enrolments VALUES (?, ?, ?, NULL)",
                (name, opaque.digest(link.reveal()), ends.timestamp()),
            )
        return link

    def fits(self, link: Secret, name: str, now: datetime) -> bool:
        """Whether it is this person's, was not taken, and has not ended."""
        if opaque.random_part(link.reveal(), opaque.ENROLMENT) is None:
            return False
        return bool(
            self._storage.look(
                "SELECT 1 FROM enrolments WHERE digest = ? AND name = ? AND taken IS NULL AND ends > ?",
                (opaque.digest(link.reveal()), name, now.timestamp()),
            )
        )

    def take(self, link: Secret, name: str, now: datetime) -> bool:
        """Use it up; False: it does not fit, or no more."""
        if opaque.random_part(link.reveal(), opaque.ENROLMENT) is None:
            return False
        with self._storage.change() as rows:
            return rows.execute(
                "UPDATE enrolments SET taken = ? WHERE digest = ? AND name = ? AND taken IS NULL AND ends > ?",
                (now.timestamp(), opaque.digest(link.reveal()), name, now.timestamp()),
            ).rowcount == 1  # fmt: skip

    def waits(self, name: str) -> bool:
        """Whether this person has a link that he has not taken."""
        return bool(self._storage.look("SELECT 1 FROM enrolments WHERE name = ? AND taken IS NULL", (name,)))

    def withdraw(self, name: str) -> None:
        """Forget this person's link, taken or not."""
        with self._storage.change() as rows:
            rows.execute("DELETE FROM enrolments WHERE name = ?", (name,))
