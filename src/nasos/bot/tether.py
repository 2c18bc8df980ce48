"""A process that ends with its parent and leaves no core file.

Rules: the parent-death signal follows the *thread* that started us (prctl(2)), so launchers start their bot from
the main thread; whoever asks for the signal looks at its parent again afterwards, because a parent that died before
the request sends nothing. ``execve`` resets the dumpable flag, so each program sets its own.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from typing import Final

from nasos.errors import BotError

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_PR_SET_DUMPABLE: Final = 4


def end_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel for ``number`` when ``parent`` dies.

    Raises:
        BotError: The parent is already gone; whoever reads this must end.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        raise BotError("the process that started this one is gone", "start it again")


def seal_memory() -> None:
    """No core file, and no reading of this process's memory by others of the same user (root still can)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    # CDLL(None) is the C library that Python itself runs on: no file is searched for.
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise BotError(f"prctl({option}) was refused: {os.strerror(ctypes.get_errno()).lower()}")
