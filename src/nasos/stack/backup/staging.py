"""A state directory that is built beside the real one, until it takes its place in one step.

Rules: what is being built carries a mark, and only what carries it is ever deleted; the state that stood there before
is moved aside, never deleted. Where both exist they change places atomically (``renameat2(2)``,
``RENAME_EXCHANGE``), so that at no instant there is none. A killed run's servers are ended by the next.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from nasos.errors import BackupRefused, FileRefused
from nasos.files import PRIVATE, ExclusiveLock, fsync_directory, private_directory
from nasos.stack.home import Home
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users

MARK: Final = "run/restoring"
"""In a state directory that is being built."""

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


@dataclass(frozen=True, slots=True)
class Staging:
    """The places of one restore."""

    real: Path
    """NASOS_HOME."""
    users: Users

    @property
    def home(self) -> Path:
        """The state directory that is being built."""
        return self.real.with_name(f"{self.real.name}.restore")

    @property
    def parts(self) -> Path:
        """What was unpacked."""
        return self.home / "run" / "restore"

    @property
    def key_directory(self) -> Path:
        """The unseal key, outside of the state also while it is built."""
        return self.real.with_name(f"{self.real.name}.restore-key")

    @contextmanager
    def held(self, stamp: str) -> Iterator[None]:
        """One restore at a time, beginning with nothing; what was built and not taken over goes away again.

        Raises:
            AlreadyRunning: Another restore of this state directory is under way.
        """
        if not self.real.parent.is_dir():
            private_directory(self.real.parent)
        with ExclusiveLock(self._lock, "nasos restore"):
            try:
                self._clear(stamp)
                # As root, services of their own pass through.
                outer = 0o711 if self.users.separate else 0o700
                private_directory(self.home, mode=outer)
                private_directory(self.home / "run", mode=outer)
                os.close(os.open(self.home / MARK, os.O_CREAT | os.O_CLOEXEC, PRIVATE))
                yield
            finally:
                self._clear(stamp)

    def end_unfinished(self) -> None:
        """End the servers of a restore that was killed: they may sit on the real stack's ports. Nothing is removed.

        Raises:
            AlreadyRunning: A restore is under way.
        """
        if (self.home / MARK).exists():
            with ExclusiveLock(self._lock, "nasos restore"):
                self._end_servers()

    @property
    def _lock(self) -> Path:
        return self.real.with_name(f"{self.real.name}.restore.lock")

    def take_over(self, stamp: str, *, existed: bool) -> Path | None:
        """Put what was built in its place; return where the state that stood there is now, if there was any.

        Raises:
            FileRefused: A directory cannot be renamed; nothing was changed.
        """
        shutil.rmtree(self.parts, ignore_errors=True)
        aside = None
        try:
            if existed:
                aside = self._exchanged(stamp)
            else:
                self.home.rename(self.real)  # fails when somebody made a stack there meanwhile
            fsync_directory(self.real.parent)
        except OSError as error:
            hint = f"NASOS_HOME={self.real / 'state'}" if error.errno == errno.EBUSY else f"ls -ld {self.real.parent}"
            reason = (error.strerror or "unknown reason").lower()
            raise FileRefused(f"{self.real} cannot be replaced: {reason}", hint) from None
        (self.real / MARK).unlink(missing_ok=True)
        return aside

    def _clear(self, stamp: str) -> None:
        shutil.rmtree(self.key_directory, ignore_errors=True)
        if (self.real / MARK).exists():  # killed right after the exchange: it is complete
            (self.real / MARK).unlink()
        if not self.home.exists():
            return
        if not (self.home / MARK).exists() and any(self.home.iterdir()):
            self._set_aside(stamp)
            return
        self._end_servers()
        shutil.rmtree(self.home)

    def _end_servers(self) -> None:
        supervisor = Supervisor(Home(self.home, self.users))
        if supervisor.running():
            supervisor.shutdown()
        supervisor.end_orphans()

    def _exchanged(self, stamp: str) -> Path:
        try:
            _exchange(self.home, self.real)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            # A file system that cannot exchange (some network ones): for an instant there is no state directory.
            aside = self.real.with_name(f"{self.real.name}.before-{stamp}")
            self.real.rename(aside)
            self.home.rename(self.real)
            return aside
        return self._set_aside(stamp)

    def _set_aside(self, stamp: str) -> Path:
        aside = self.real.with_name(f"{self.real.name}.before-{stamp}")
        self.home.rename(aside)
        return aside


def require_idle(home: Home) -> None:
    """Refuse while a stack runs there.

    Raises:
        BackupRefused: It runs, or programs of it do.
    """
    from nasos.stack.programs import ORDER
    from nasos.stack.recorded import recorded_pid

    running = [name for name in ("supervisord", *ORDER) if recorded_pid(home, name)]
    if running or Supervisor(home).running():
        raise BackupRefused(f"the stack in {home.root} is running", "./nasos down")


def stamp_of(now: datetime) -> str:
    """A moment as part of a name."""
    return f"{now:%Y%m%d-%H%M%S}"


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
