"""No unix socket for the bot: what listens on one trusts whoever may open it.

Docker's is as good as root, supervisord's stops the stack, and Landlock covers neither (up to ABI 8). Rules:

* A seccomp filter refuses ``socket(AF_UNIX)`` with EACCES; socket pairs, which have no name, and other families stay.
* ``io_uring`` makes sockets past such a filter, so it is refused as well (ENOSYS: libuv goes on without); so are
  calls by another architecture's numbers.
* Irrevocable and inherited, as the rest of the sandbox (seccomp(2)).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass
from typing import Final

from nasos.errors import BotError

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # <linux/bpf_common.h>: BPF_LD|W|ABS, BPF_JMP, BPF_RET
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000  # <linux/seccomp.h>; the error number is in the lower half
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data
_IO_URING_SETUP: Final = 425  # the same on every architecture
_X32: Final = 0x40000000
"""From here on x86_64 has the numbers of its 32-bit pointers' twin."""


@dataclass(frozen=True, slots=True)
class _Machine:
    """<linux/audit.h>, and the number of ``socket``."""

    architecture: int
    socket: int


_MACHINES: Final = {"x86_64": _Machine(0xC000003E, 41), "aarch64": _Machine(0xC00000B7, 198)}


def known() -> bool:
    """Whether this machine's system calls are; on another one nothing is refused, and somebody has to say so."""
    return platform.machine() in _MACHINES


def refuse() -> bool:
    """Refuse them to this process and all that it starts, for good; False on a machine whose numbers we do not know.

    Raises:
        BotError: The kernel refuses the filter.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    code = _program(machine)
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    c = ctypes.CDLL(None, use_errno=True)
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(program)))
    for option, *arguments in ((_PR_SET_NO_NEW_PRIVS, 1, None), (_PR_SET_SECCOMP, _MODE_FILTER, filter_)):
        if c.prctl(option, *arguments, 0, 0) != 0:
            raise BotError(f"the kernel refuses the sandbox: {os.strerror(ctypes.get_errno()).lower()}")
    return True


def _program(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """Code, lines to skip if true, if false, operand; a jump counts from the line after it."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 7, machine.architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 5, 0, _X32),
        (_EQUAL, 5, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 2, machine.socket),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 1, 0, 1),  # AF_UNIX
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EACCES),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    ]
