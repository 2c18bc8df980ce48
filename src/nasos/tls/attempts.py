"""What is remembered between two looks at a certificate, in ``tls/acme/renewal.json``: dates and numbers, no secret.

Rules: replaced whole; a damaged file is none, which costs a question or a try too many, never the certificate. A try
is written down before it is made: one that was killed counts, so that a crash in it cannot use up an account's limits.
What is said about one certificate ends with it.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from nasos.files import atomic_write
from nasos.tls.issuer import Advice
from nasos.tls.renewal import Trials

NAME: Final = "renewal.json"
_LARGEST: Final = 1 << 16


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one certificate."""

    serial: str = ""
    """Which one; empty: there is none yet."""
    failures: int = 0
    last: datetime | None = None
    not_before: datetime | None = None
    """What the issuer asked for: holds for the account, and outlives the certificate."""
    error: str = ""
    """What went wrong last."""
    told: int = 0
    """The last alert: it was given with one part in so many left."""
    start: datetime | None = None
    end: datetime | None = None
    ask_again: datetime | None = None
    explanation: str = ""

    @property
    def trials(self) -> Trials:
        """For the rules."""
        return Trials(self.failures, self.last, self.not_before)

    @property
    def alerted(self) -> Fraction | None:
        """For the rules."""
        return Fraction(1, self.told) if self.told else None

    @property
    def advice(self) -> Advice | None:
        """What the issuer last said."""
        if self.start is None or self.end is None or self.ask_again is None:
            return None
        return Advice(self.start, self.end, self.ask_again, self.explanation)

    def of(self, serial: str) -> Attempts:
        """For this certificate: another one begins with nothing but what the issuer asked for."""
        return self if self.serial == serial else Attempts(serial=serial, not_before=self.not_before)

    def advised(self, advice: Advice | None, ask_again: datetime) -> Attempts:
        """What the issuer says now; None: nothing new, ask again then."""
        if advice is None:
            return structs.replace(self, ask_again=ask_again)
        return structs.replace(
            self, start=advice.start, end=advice.end, ask_again=advice.ask_again, explanation=advice.explanation
        )

    def tried(self, now: datetime) -> Attempts:
        """A try begins; it counts as failed until it has not."""
        return structs.replace(self, failures=self.failures + 1, last=now, error="was interrupted")

    def failed(self, error: str, not_before: datetime | None) -> Attempts:
        """It did fail."""
        return structs.replace(self, error=error, not_before=not_before or self.not_before)

    def alerted_at(self, part: Fraction) -> Attempts:
        """People were told."""
        return structs.replace(self, told=part.denominator)


def read(directory: Path) -> Attempts:
    """What was written last; nothing when there is nothing that can be understood."""
    try:
        with (directory / NAME).open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=Attempts)
    except (OSError, msgspec.MsgspecError):
        return Attempts()


def write(directory: Path, attempts: Attempts) -> None:
    """Put it down.

    Raises:
        FileRefused: There is no room.
    """
    atomic_write(directory / NAME, msgspec.json.encode(attempts))
