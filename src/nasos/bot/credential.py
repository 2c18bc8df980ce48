"""The database login in memory: written by the launcher, read by the bot at each connect.

Rules:

* One fixed page in a memfd. The launcher writes through a mapping made before the file was sealed against every
  other writer (``F_SEAL_FUTURE_WRITE``, Linux 5.1): the bot, its strategy and its libraries can read only.
* A reader never acts on a torn page. Linux promises no atomicity between a store and a ``read``, so the page carries
  the SHA-256 of all that follows; old and new bytes mixed in any way do not match it, and the reader looks again.
  This needs no ordering between writer and reader, which a sequence counter would.
* The launcher cannot leave half a page behind for long: it dies in mid-write only together with its bot.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import mmap
import os
import time
from dataclasses import dataclass
from typing import Final

from nasos.errors import BotError
from nasos.secret import Secret

PAGE: Final = 8192
_DIGEST: Final = 64  # hexadecimal SHA-256
_F_SEAL_FUTURE_WRITE: Final = 0x0010  # <linux/fcntl.h>; in Python's fcntl from 3.13 on
_SEALS: Final = _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_TRIES: Final = 200  # with 1 ms between them; a page is copied in about a microsecond


@dataclass(frozen=True, slots=True)
class Credential:
    """One login, and the Vault version that it came from."""

    version: int
    username: str
    password: Secret


def encode(credential: Credential) -> bytes:
    """The page that holds ``credential``.

    Raises:
        BotError: It does not fit.
    """
    content = {
        "version": credential.version,
        "username": credential.username,
        "password": credential.password.reveal(),
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
    return Credential(content["version"], content["username"], Secret(content["password"]))


class CredentialPage:
    """The launcher's side: the only writer."""

    def __init__(self, credential: Credential) -> None:
        self.fd = os.memfd_create("nasos-database", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.fchmod(self.fd, 0o400)
        os.ftruncate(self.fd, PAGE)
        self._mapping = mmap.mmap(self.fd, PAGE)
        with contextlib.suppress(OSError):  # before Linux 5.1: file mode and read-only hand-over still stand
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self.version = 0
        self.write(credential)

    def write(self, credential: Credential) -> None:
        """Replace the login; connections made from now on use it.

        Raises:
            BotError: It does not fit; the old one stays.
        """
        self._mapping[:] = encode(credential)
        self.version = credential.version

    def close(self) -> None:
        """Blank the page and let go of it; a bot that still runs keeps its descriptor, but no login."""
        self._mapping[:] = bytes(PAGE)
        self._mapping.close()
        os.close(self.fd)


def read(fd: int) -> Credential:
    """The current login.

    Raises:
        BotError: The descriptor holds none: it is not ours, or its launcher is gone.
    """
    for _ in range(_TRIES):
        try:
            found = decode(os.pread(fd, PAGE, 0))
        except OSError as error:
            raise BotError(f"descriptor {fd} holds no database login: {(error.strerror or '').lower()}") from None
        if found is not None:
            return found
        time.sleep(0.001)
    raise BotError(f"descriptor {fd} holds no database login", 'start the bot with "nasos run --bot NAME -- ..."')
