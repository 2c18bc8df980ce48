"""freqtrade's own ``convert-db`` as a child: in the bot's environment, sandboxed, its login on the credential page.

Rules: URLs in its arguments hold no login, and its environment is clean. It works on a copy of the SQLite file, because
freqtrade migrates what it opens, and reaches that copy, the database's port and the CA: nothing else.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nasos.bot.credential import CredentialPage
from nasos.bot.database import completed
from nasos.bot.document import database_credential
from nasos.bot.records import Record
from nasos.bot.sandbox import Confinement
from nasos.errors import BotError


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """Everything that a conversion needs besides the two databases."""

    python: Path
    """Interpreter of the bot's own virtual environment."""
    login: Callable[[], Record]
    """The record ``db``, fresh from Vault."""
    environment: Mapping[str, str]
    readable: tuple[Path, ...] = ()
    """The certificate of the database's CA."""

    def __call__(self, source: Path, url: str) -> None:
        """Copy all trades of ``source`` (SQLite, ours to change) into the empty database ``url`` (without login).

        Must be called from the main thread: the child ends with the thread that started it.

        Raises:
            BotError: freqtrade could not; its words are in ``convert.log`` beside ``source``.
        """
        log = source.with_name("convert.log")
        sandbox = Confinement(
            read=tuple(map(str, self.readable)),
            write=(str(source.parent),),
            bind=(),
            connect=(urlsplit(url).port or 5432,),
        )
        (source.parent / "user_data").mkdir(exist_ok=True)  # freqtrade asks for one, and puts nothing there
        with _page(self.login()) as page, os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)) as out:
            code = subprocess.run(
                [str(self.python), "-I", "-m", "nasos.bot.moving.child", str(os.getpid()), sandbox.encode(),
                 "convert-db", "--db-url", completed(url, page), "--db-url-from", f"sqlite:///{source}"],
                env={**self.environment, "TMPDIR": str(source.parent)}, cwd=source.parent, pass_fds=(page,),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
            ).returncode  # fmt: skip
        if code or "Migrated " not in log.read_text(errors="replace"):
            raise BotError(f"freqtrade could not copy the trades (exit {code})", f"tail {log}")


@contextlib.contextmanager
def _page(record: Record) -> Iterator[int]:
    page = CredentialPage(database_credential(record))
    reading = os.open(f"/proc/self/fd/{page.fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield reading
    finally:
        os.close(reading)
        page.close()
