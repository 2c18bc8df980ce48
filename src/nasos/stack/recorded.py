"""A process that wrote down who it is, so that exactly it can be ended later.

Rules: pid, start time and boot are recorded before the program becomes itself; a pid that somebody else has by now, a
record of another boot, a torn one, or one of a process that is not that service's own user is nobody's. As root a
service may write its own record: it must not be able to name another's process, nor to make the reader wait.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nasos.errors import StackError
from nasos.stack.home import Home

PATIENCE_SECONDS: Final = 20.0
"""From asking a process to end to killing it."""

# pid and start time (proc_pid_stat(5), field 22), then the boot that they belong to; core dumps off for all.
_PRELUDE: Final = 'cat /proc/$$/stat /proc/sys/kernel/random/boot_id >"$0" && ulimit -c 0 && exec "$@"'
_LONGEST: Final = 4096  # bytes of a record; one is 400 long


def prelude(home: Home, name: str, command: Sequence[str]) -> list[str]:
    """``command``, recording its own identity first."""
    return ["/bin/sh", "-c", _PRELUDE, str(home.run(name) / "process"), *command]


def recorded_pid(home: Home, name: str) -> int | None:
    """The pid of a recorded process, if that very process still lives."""
    try:
        stat, boot = _read(home.run(name) / "process").decode().splitlines()
        pid = int(stat.split(" ", 1)[0])
        process = Path("/proc") / str(pid)
        now, user = (process / "stat").read_text(), process.stat().st_uid
        current_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        same = _started(stat) == _started(now) and boot == current_boot
        expected = home.users.uid(name)
    except (OSError, ValueError, IndexError, KeyError):
        return None
    ours = user == (os.geteuid() if expected is None else expected)
    return pid if same and ours and _state(now) != "Z" else None


def _read(path: Path) -> bytes:
    # Neither a link nor a pipe that a service put there in place of its record.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.read(fd, _LONGEST)
    finally:
        os.close(fd)


def _started(stat: str) -> str:
    # The command in field 2 may hold blanks and parentheses; start time is field 22, 20 after the last one.
    return stat.rpartition(")")[2].split()[19]


def _state(stat: str) -> str:
    return stat.rpartition(")")[2].split()[0]


def end_recorded(home: Home, name: str, first: signal.Signals = signal.SIGTERM) -> bool:
    """End the recorded process: politely, then after a while not; return whether there was one.

    Raises:
        StackError: It does not end.
    """
    pid = recorded_pid(home, name)
    if pid is None:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        # Looked up again: from here on the descriptor is that process and no other.
        if recorded_pid(home, name) != pid:
            return False
        for number in (first, signal.SIGKILL):
            signal.pidfd_send_signal(descriptor, number)
            if _ended(descriptor, PATIENCE_SECONDS):
                return True
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)
    raise StackError(f"process {pid} of an earlier run does not end", f"kill -9 {pid}")


def _ended(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000):
            return True
    return False
