"""Run one program as a group: it ends with us, and its children end with it.

Why: the workers of an nginx whose master was killed live on and hold the port (measured), so that no new master can
listen; supervisord knows the master only. Rules: signals are passed on; when the program is gone, whatever is left of
its process group is killed before its pid is given back, so that no stranger can be hit; when we are gone the
kernel tells the program, and when supervisord is gone it tells us.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from nasos.bot.tether import end_with_parent

PASSED_ON: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


def keep(command: Sequence[str]) -> int:
    """Run ``command`` until it ends; return its exit code (128 + signal when a signal ended it)."""
    end_with_parent(os.getppid(), signal.SIGTERM)
    keeper = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)

    def follow() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        end_with_parent(keeper, signal.SIGTERM)

    # preexec_fn is safe here: this process has one thread and does nothing else.
    child = subprocess.Popen(list(command), process_group=0, preexec_fn=follow)  # noqa: PLW1509  see above
    for number in PASSED_ON:
        # Not send_signal(): it would reap the child, and with that give its group's number away.
        signal.signal(number, lambda received, _frame: os.kill(child.pid, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    # Waiting without reaping keeps the pid, and with it the group's number, ours.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
