"""The database login in memory: written by the launcher, read by the bot at each connect.

Rules:

* One fixed page in a memfd. The launcher writes through a mapping made before the file was sealed against every
  other writer (``F_SEAL_FUTURE_WRITE``, Linux 5.1): the bot, its strategy and its libraries can read only.
* A reader never acts on a torn page. Linux promises no atomicity between a store and a ``read``, so the page carries
  the SHA-256 of all that follows; old and new bytes mixed in any way do not match it, and the reader looks again.
  This needs no ordering between writer and reader, which a sequence counter would.
* A blank page means "not now": the launcher withholds the login while it cannot prove that this is the only bot of
  the database (`claim.py`). What is connected goes on; nothing connects anew.
* The launcher cannot leave half a page behind for long: it dies in mid-write only together with its bot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
import threading
import time
from dataclasses import dataclass, replace
from typing import Final

from nasos.errors import BotError
from nasos.secret import Secret

PAGE: Final = 8192
_DIGEST: Final = 64  # hexadecimal SHA-256
_F_SEAL_FUTURE_WRITE: Final = 0x0010  # <linux/fcntl.h>; in Python's fcntl from 3.13 on
_SEALS: Final = _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_TRIES: Final = 200  # with 1 ms between them; a page is copied in about a microsecond
_BLANK: Final = bytes(PAGE)
_PAUSE: Final = 0.02  # seconds between looks at a blank page


@dataclass(frozen=True, slots=True)
class Credential:
    """One login, and the Vault version that it came from."""

    version: int
    username: str
    password: Secret
    application: str = ""
    """What the bot's sessions call themselves, so that another launcher knows them for a bot's."""


def encode(credential: Credential) -> bytes:
    """The page that holds ``credential``.

    Raises:
        BotError: It does not fit.
    """
    content = {
        "version": credential.version,
        "username": credential.username,
        "password": credential.password.reveal(),
        "application": credential.application,
    }
    body = json.dumps(content).encode()
    room = PAGE - _DIGEST
    if len(body) > room:
        raise BotError("the database login is too large", f"user name and password have {room} bytes together")
    body = body.ljust(room)
    return hashlib.sha256(body).hexdigest().encode() + body


def decode(page: bytes) -> Credential | None:
    """The login on ``page``, or None when the page is torn or was never written."""
    body = page[_DIGEST:]
    if len(page) != PAGE or hashlib.sha256(body).hexdigest().encode() != page[:_DIGEST]:
        return None
    content = json.loads(body)
    return Credential(content["version"], content["username"], Secret(content["password"]), content["application"])


class CredentialPage:
    """The launcher's side: the only writer; safe for its threads."""

    def __init__(self, credential: Credential, *, withheld: bool = False) -> None:
        self.fd = os.memfd_create("nasos-database", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(self.fd, 0o400)
        os.ftruncate(self.fd, PAGE)
        self._mapping = mmap.mmap(self.fd, PAGE)
        with contextlib.suppress(OSError):  # before Linux 5.1: file mode and read-only hand-over still stand
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self._lock = threading.Lock()
        self._withheld = withheld
        self._application = credential.application
        self._credential = credential
        self.write(credential)

    @property
    def version(self) -> int:
        """Of the login that is on the page, or withheld."""
        return self._credential.version

    def write(self, credential: Credential) -> None:
        """Replace the login; connections made from now on use it, or once it is not withheld any more.

        Raises:
            BotError: It does not fit; the old one stays.
        """
        encode(replace(credential, application=self._application))
        with self._lock:
            self._credential = credential
            self._show()

    def name(self, application: str) -> None:
        """What the bot's sessions call themselves from now on."""
        with self._lock:
            self._application = application
            self._show()

    def withhold(self) -> None:
        """Blank the page until `give`: new connections wait."""
        with self._lock:
            self._withheld = True
            self._show()

    def give(self) -> None:
        """Show the login again."""
        with self._lock:
            self._withheld = False
            self._show()

    def _show(self) -> None:
        shown = replace(self._credential, application=self._application)
        self._mapping[:] = _BLANK if self._withheld else encode(shown)

    def close(self) -> None:
        """Blank the page and let go of it; a bot that still runs keeps its descriptor, but no login."""
        self._mapping[:] = b" " * PAGE  # neither a login nor "not now"
        self._mapping.close()
        os.close(self.fd)


def read(fd: int, patience: float = 0.0) -> Credential:
    """The current login; a blank page is looked at again for ``patience`` seconds.

    Raises:
        BotError: The descriptor holds none: it is withheld, it is not ours, or its launcher is gone.
    """
    deadline = time.monotonic() + patience
    torn = 0
    while True:
        try:
            page = os.pread(fd, PAGE, 0)
        except OSError as error:
            raise BotError(f"descriptor {fd} holds no database login: {(error.strerror or '').lower()}") from None
        found = decode(page)
        if found is not None:
            return found
        if page == _BLANK:
            if time.monotonic() >= deadline:
                raise BotError("the launcher withholds the database login", "its lines above say why")
            time.sleep(_PAUSE)
            continue
        torn += 1
        if torn >= _TRIES:
            raise BotError(
                f"descriptor {fd} holds no database login", 'start the bot with "nasos run --bot NAME -- ..."'
            )
        time.sleep(0.001)
