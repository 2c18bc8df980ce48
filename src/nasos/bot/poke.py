"""A word from our own writers to a running launcher: "look at this record now". Polling stays the truth.

Rules:

* A poke names a record, never a value; the launcher then reads Vault under its own credential. The worst that a false
  poke can do is make it read, and `Allowance` bounds how often: the audit logs do not fill.
* An urgent one ends the wait for a moment without open orders (`change.py`); anybody who may poke may reload the bot
  as well.
* One datagram, sent without waiting: a launcher that is absent, dead or busy neither delays nor fails its writer.
* Who sent it is the kernel's word (``SCM_CREDENTIALS``, per message): root, the launcher's own user, the operator. The
  bot is the launcher's user, and Landlock does not cover unix sockets with a path, so it may poke too: see above.
* The directory is the launcher's alone; whoever sends follows no link there.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import stat
import struct
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, Self

from nasos.errors import FileRefused
from nasos.ledger import Outcome

BURST: Final = 20
"""Pokes that are followed at once; an operator who stores all records of a bot one by one makes eight."""
EVERY: Final = 2.0
"""Seconds until another one is: a flood costs Vault no more than polling does."""

_POKE: Final = re.compile(rb"(!?)([A-Za-z0-9_][A-Za-z0-9._-]{0,63})")
_WRITTEN: Final = re.compile(r"nasos/bots/([a-z][a-z0-9-]{0,30})/([A-Za-z0-9_][A-Za-z0-9._-]{0,63})")
_WRITES: Final = frozenset({"secret.write", "secret.delete"})
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid (unix(7))
_AT_ONCE: Final = 64  # messages taken before somebody else gets a turn

OnEvent = Callable[[str, str, Outcome, Mapping[str, str]], object]
"""As `nasos.vault.VaultClient` tells of its writes, and as `Ledger.append` takes it."""


def poke(run_directory: Path, bot: str, record: str, *, urgent: bool = False) -> bool:
    """Tell the launcher of ``bot`` that ``record`` changed; False when nobody took it. Never fails, never waits."""
    try:
        place = os.open(run_directory / f"{bot}.sock", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire:
            wire.setblocking(False)
            # By descriptor: a path of the state directory may be longer than a socket's address can be.
            wire.sendto(b"!" * urgent + record.encode(), f"/proc/self/fd/{place}")
    except OSError:
        return False
    finally:
        os.close(place)
    return True


def poking(run_directory: Path, tell: OnEvent | None = None) -> OnEvent:
    """``tell``, which also pokes the launcher of a bot whose record was written; for a client's ``on_event``."""

    def told(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> object:
        written = _WRITTEN.fullmatch(target)
        # A lost answer may have been a yes.
        if written and event in _WRITES and outcome in {Outcome.OK, Outcome.UNKNOWN}:
            poke(run_directory, *written.groups())
        return tell(event, target, outcome, detail) if tell else None

    return told


class Allowance:
    """How many pokes may be followed: `BURST` at once, then one in `EVERY` seconds."""

    def __init__(self, now: float) -> None:
        self._left = float(BURST)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until one may be followed; 0 for now."""
        self._left = min(BURST, self._left + (now - self._at) / EVERY)
        self._at = now
        return max(0.0, (1 - self._left) * EVERY)

    def take(self) -> None:
        """One was followed."""
        self._left -= 1


class Pokes:
    """The launcher's side: a socket in its run directory, for as long as the block.

    Raises:
        FileRefused: On entry: the directory is not there, or not ours.
    """

    def __init__(self, run_directory: Path, bot: str, senders: Collection[int]) -> None:
        self._path = run_directory / f"{bot}.sock"
        self._senders = frozenset(senders)
        self.allowance = Allowance(time.monotonic())
        """How many may be followed; it outlives the bot's restarts."""
        self._wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wire.setblocking(False)
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def __enter__(self) -> Self:
        try:
            self._listen()
        except OSError as error:
            self._wire.close()
            reason = (error.strerror or "unknown reason").lower()
            raise FileRefused(f"cannot listen at {self._path}: {reason}", f'"ls -la {self._path.parent}"') from None
        return self

    def _listen(self) -> None:
        directory = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._path.unlink(missing_ok=True)  # a killed launcher's; the lock is ours
            os.fchmod(self._wire.fileno(), 0o600)  # the mode that bind gives (Linux, unix_bind)
            self._wire.bind(f"/proc/self/fd/{directory}/{self._path.name}")
        finally:
            os.close(directory)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._wire.close()

    def wait(self, wake: int, seconds: float) -> dict[str, bool]:
        """The records that were named within ``seconds``, as soon as there is one, and whether each is urgent.

        ``wake`` readable ends it early.
        """
        if not select.select([self._wire.fileno(), wake], [], [], max(0.0, seconds))[0]:
            return {}
        messages = (self._next() for _ in range(_AT_ONCE))
        named: dict[str, bool] = {}
        for message in iter(lambda: next(messages, None), None):
            if found := _POKE.fullmatch(message):
                name = found[2].decode()
                named[name] = named.get(name, False) or bool(found[1])
        return named

    def _next(self) -> bytes | None:
        """What one message names, empty when its sender may not; None when there is no more."""
        try:
            content, control, _, _ = self._wire.recvmsg(128, socket.CMSG_SPACE(_CREDENTIALS.size))
        except BlockingIOError:
            return None
        uids = [
            _CREDENTIALS.unpack(data)[1]
            for level, kind, data in control
            if (level, kind, len(data)) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS, _CREDENTIALS.size)
        ]
        return content if uids and self._senders.issuperset(uids) else b""
