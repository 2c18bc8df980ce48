"""Certificate and key of the bot's API, as they lie in the state directory.

Rules: read anew for each use; the key only if nobody else could have read it; a renewal is seen by looking, because
whoever renews need not know which bots run.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from nasos.errors import FileRefused
from nasos.files import read_private
from nasos.secret import Secret


class ApiCertificate:
    """``bot.pem`` and ``bot.key`` of one stack."""

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "ca.pem"
        """Who signed it."""
        self._chain = directory / "bot.pem"
        self._key = directory / "bot.key"
        self._given: object = None

    def missing(self) -> bool:
        """Whether there is none."""
        return not (self._chain.exists() and self._key.exists())

    def pem(self) -> Secret:
        """Key and chain.

        Raises:
            FileRefused: They are missing, or others could have read the key.
        """
        found = self._look()
        try:
            chain = self._chain.read_bytes()
        except OSError as error:
            reason = (error.strerror or "").lower()
            raise FileRefused(f"cannot read {self._chain}: {reason}", "nasos tls setup") from None
        pem = Secret((read_private(self._key) + chain).decode("ascii", "replace"))
        self._given = found
        return pem

    def not_used(self) -> None:
        """What `pem` gave last did not come into use: `renewed` says so until another try."""
        self._given = ()

    def renewed(self) -> bool:
        """Whether it is another one than `pem` gave last."""
        return self._given is not None and self._look() not in (None, self._given)

    def _look(self) -> object:
        with contextlib.suppress(OSError):
            return [(status.st_ino, status.st_mtime_ns) for status in (self._chain.stat(), self._key.stat())]
        return None
