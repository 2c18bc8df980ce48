"""One bot per name, also when a launcher was killed.

Rules:

* The lock is the launcher's and is not inherited: a forgotten grandchild cannot hold it for ever.
* The kernel drops a dead launcher's lock *before* it sends the parent-death signal to the bot (``do_exit`` closes
  files first), so the lock alone would leave a gap. Therefore the bot's pid and start time are recorded, and whoever
  gets the lock waits until exactly that process is gone. A bot that was started but not yet recorded looks for its
  launcher before it does anything (`tether.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from nasos.errors import AlreadyRunning
from nasos.files import ExclusiveLock, atomic_write, private_directory

_PATIENCE: Final = 10.0  # seconds; a killed process is gone in milliseconds unless its disk hangs


class OneBot:
    """Held while a launcher works for the bot ``name``; its files are in ``directory``.

    Raises:
        AlreadyRunning: On entry, when another launcher or a bot that it left behind is alive.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._record = directory / f"{name}.child"
        self._name = name
        self._lock = ExclusiveLock(directory / f"{name}.lock", f'the bot "{name}"')
        self._directory = directory

    def __enter__(self) -> Self:
        private_directory(self._directory)
        self._lock.__enter__()
        try:
            self._wait_for_the_last_one()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record.unlink(missing_ok=True)
        self._lock.__exit__(kind, error, trace)

    def record(self, pid: int) -> None:
        """Remember the bot's process."""
        atomic_write(self._record, json.dumps({"pid": pid, "start": start_time(pid), "boot": boot_id()}).encode())

    def _wait_for_the_last_one(self) -> None:
        try:
            last = json.loads(self._record.read_bytes())
            pid, start, boot = int(last["pid"]), last["start"], last["boot"]
        except (OSError, ValueError, KeyError, TypeError):
            return
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            try:
                # The descriptor is the process from here on; now see whether it is the recorded one.
                if boot != boot_id() or start != start_time(pid):
                    return
                if not select.select([pidfd], [], [], _PATIENCE)[0]:
                    raise AlreadyRunning(
                        f'the bot "{self._name}" (pid {pid}) outlived its launcher', f"kill -9 {pid}"
                    ) from None
            finally:
                os.close(pidfd)


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which ``pid`` started; None when there is no such process."""
    try:
        # The name in parentheses may hold spaces and parentheses itself (proc(5)).
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None


def boot_id() -> str:
    """Changes with every boot, so that a recorded pid of an earlier one means nothing."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
