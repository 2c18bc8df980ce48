"""One process of the bot: its descriptors, its signals, its end.

Rules:

* It gets exactly the descriptors that it is handed, a clean environment, its own process group (Ctrl-C in a terminal
  reaches the launcher only, so that freqtrade is interrupted once and can finish), and no terminal input.
* It is started from the main thread: the parent-death signal follows the thread (prctl(2)).
* When it is over, what it left in its group is killed *before* it is reaped, while its pid cannot be anybody else's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self

from nasos.bot.supervise import Ended
from nasos.errors import BotError

_STOP: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child:
    """A running bot."""

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], *, outputs: tuple[int, int], handed: Sequence[int]
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise BotError("the bot must be started from the main thread: it would end with any other")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, outputs[0], 1),
            (os.POSIX_SPAWN_DUP2, outputs[1], 2),
        ]
        for fd in _open_descriptors():
            os.set_inheritable(fd, fd <= 2 or fd in handed)
        try:
            # Python ignores SIGPIPE, and an ignored signal stays ignored through exec.
            self.pid = os.posix_spawn(
                argv[0], tuple(argv), environment, file_actions=actions, setpgroup=0, setsigdef=[signal.SIGPIPE, *_STOP]
            )
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise BotError(f"cannot start {argv[0]}: {reason}", "./scripts/setup_security.sh") from None
        self._started = time.monotonic()
        self._pidfd = os.pidfd_open(self.pid)
        self._anew = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._ended_anew = False

    def wait(self, signals: Signals, grace: float) -> Ended:
        """Wait for its end; a signal to us stops it, and a second one, or ``grace`` seconds, kills it."""
        asked = False
        deadline: float | None = None
        while True:
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._pidfd, signals.fd, self._anew], [], [], remaining)
            if self._pidfd in ready:
                return self._reap(asked=asked)
            if self._anew in ready:
                os.eventfd_read(self._anew)
                self._ended_anew = True
                deadline = deadline or time.monotonic() + grace
                self._signal(signal.SIGTERM)
                continue
            if signals.fd in ready and not signals.take():
                continue
            if asked or (self._ended_anew and signals.fd not in ready):
                deadline = None
                self._signal(signal.SIGKILL)
            else:
                asked, deadline = True, time.monotonic() + grace
                self._signal(signal.SIGTERM)

    def start_anew(self) -> None:
        """Make `wait` stop it, so that it is started again; from any thread."""
        with contextlib.suppress(OSError):
            os.eventfd_write(self._anew, 1)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _reap(self, *, asked: bool) -> Ended:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        for fd in (self._pidfd, self._anew):
            os.close(fd)
        seconds = time.monotonic() - self._started
        return Ended(os.waitstatus_to_exitcode(status), seconds, asked, anew=self._ended_anew)


def _open_descriptors() -> list[int]:
    """Ours, and whatever whoever started us left open."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  names, without a path for each
        with contextlib.suppress(OSError):  # the one that listed them is closed again
            os.get_inheritable(int(name))
            found.append(int(name))
    return found


class Signals:
    """TERM, INT and HUP of this process as a descriptor to wait on, for the length of a block (main thread only).

    Afterwards they are ignored: one that comes while we end must not replace the bot's exit code by ours.
    """

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.last = 0
        """The signal that came last; 0 when there was none."""

    def __enter__(self) -> Self:
        # What was ignored stays ignored: that is how nohup keeps a program alive.
        for number in _STOP:
            if signal.getsignal(number) is not signal.SIG_IGN:
                # A handler must exist for the wake-up byte to be written; the work is done by whoever waits.
                signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        for number in _STOP:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        os.close(self._write)
        os.close(self.fd)

    def stop(self) -> None:
        """As if a stop signal had come; from any thread."""
        os.write(self._write, bytes([signal.SIGTERM]))

    def take(self) -> int:
        """Empty the descriptor; the last stop signal in it, or 0."""
        found = 0
        try:
            found = next((number for number in reversed(os.read(self.fd, 512)) if number in _STOP), 0)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
        self.last = found or self.last
        return found

    def wait(self, seconds: float) -> bool:
        """Wait; True when a stop signal cut it short."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            if select.select([self.fd], [], [], remaining)[0] and self.take():
                return True
        return False
