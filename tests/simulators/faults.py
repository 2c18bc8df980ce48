"""A disk that fails at the n-th system call: full, broken, read-only; injected by the kernel, not into our code.

The child installs a seccomp filter whose chosen system calls ask us first (``SECCOMP_RET_USER_NOTIF``, seccomp(2),
seccomp_unotify(2)); we let each go on except one, which returns the error. Nothing of Python or nasos is patched, no
privilege is needed. One fault per run: a loop over n until the work finishes without meeting it covers every point.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from nasos.errors import Error

_NUMBERS: Final = {
    "x86_64": {
        "write": (1, 18), "open": (257,), "sync": (74, 75), "rename": (82, 264, 316, 86, 265), "remove": (87, 263),
        "mode": (91, 93), "directory": (83, 258), "truncate": (77,), "read": (0, 17),
        "time": (280,), "allocate": (285,),
    },
    "aarch64": {
        "write": (64, 68), "open": (56,), "sync": (82, 83), "rename": (38, 276, 37), "remove": (35,),
        "mode": (52, 55), "directory": (34,), "truncate": (46,), "read": (63, 67),
        "time": (88,), "allocate": (47,),
    },
}  # fmt: skip
"""What a disk can refuse -> system calls (``asm/unistd.h``)."""

WRITING: Final = ("write", "open", "sync", "rename", "mode", "directory", "truncate", "time")
"""All that can fail when something is written; taking away what failed must work, or nobody could clean up."""

KILL: Final = 0
"""Instead of an error."""

_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER, _NEW_LISTENER = 1, 8
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101  # _IOWR('!', 0, seccomp_notif), _IOWR('!', 1, seccomp_notif_resp)
_CONTINUE: Final = 1


@dataclass(frozen=True)
class Outcome:
    """How the work ended."""

    met: bool
    """Whether the fault was met."""
    said: str
    """What the work returned."""


def with_fault(work: Callable[[], str], number: int, error: int, kinds: tuple[str, ...] = WRITING) -> Outcome:
    """Run ``work`` in a child whose ``number``-th system call (from 1) of these kinds fails with ``error``."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _child(theirs, work, kinds)
    theirs.close()
    with ours:
        _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
        met = _answer(listener, number, error, lambda: ours.send(b"g"))
        said = b""
        while piece := ours.recv(1 << 16):
            said += piece
    os.waitpid(pid, 0)
    return Outcome(met, said.decode())


def with_kill(work: Callable[[], str], number: int, kinds: tuple[str, ...] = WRITING) -> Outcome:
    """Run ``work`` in a child that is killed just before its ``number``-th system call (from 1) of these kinds."""
    return with_fault(work, number, KILL, kinds)


def every_fault(work: Callable[[], str], error: int, kinds: tuple[str, ...] = WRITING) -> Iterator[tuple[int, Outcome]]:
    """The outcomes with a fault at each point in turn; the last one met none."""
    number, met = 0, True
    while met:
        number += 1
        outcome = with_fault(work, number, error, kinds)
        met = outcome.met
        yield number, outcome


def _child(parent: socket.socket, work: Callable[[], str], kinds: tuple[str, ...]) -> None:
    try:
        listener = _install(kinds)
        socket.send_fds(parent, [b"l"], [listener])
        os.close(listener)
        parent.recv(1)
        said = work()
        parent.sendall(said.encode())
    except BaseException as error:  # noqa: BLE001  whatever it is, the test must see it
        parent.sendall(f"UNEXPECTED {type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _install(kinds: tuple[str, ...]) -> int:
    machine = platform.machine()
    numbers = [number for kind in kinds for number in _NUMBERS[machine][kind]]
    steps = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the number of the system call
    steps += [struct.pack("HBBI", 0x15, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    steps += [struct.pack("HBBI", 0x06, 0, 0, result) for result in (_ALLOW, _NOTIFY)]
    program = ctypes.create_string_buffer(b"".join(steps))
    filters = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    fd: int = libc.syscall(_SECCOMP[machine], _SET_MODE_FILTER, _NEW_LISTENER, ctypes.c_char_p(filters))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return fd


def _answer(listener: int, number: int, error: int, begin: Callable[[], object]) -> bool:
    """Let every call go on but one; return whether that one came."""
    met, count = False, 0
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    begin()
    try:
        while True:
            [(_, event)] = poll.poll()
            if not event & select.POLLIN:
                return met
            asked = bytearray(80)
            try:
                fcntl.ioctl(listener, _RECEIVE, asked)
            except FileNotFoundError:  # it was interrupted
                continue
            count += 1
            fails = count == number
            met = met or fails
            if fails and error == KILL:
                os.kill(struct.unpack_from("I", asked, 8)[0], signal.SIGKILL)
                return True
            reply = struct.pack("QqiI", struct.unpack_from("Q", asked)[0], 0, -error if fails else 0,
                                0 if fails else _CONTINUE)  # fmt: skip
            fcntl.ioctl(listener, _ANSWER, bytearray(reply))
    finally:
        os.close(listener)


def said(work: Callable[[], object]) -> Callable[[], str]:
    """The work, saying ``done`` or the error's message and hint; anything else but our errors is unexpected."""

    def run() -> str:
        try:
            work()
        except Error as error:
            return f"refused: {error.message} | {error.hint or ''}"
        return "done"

    return run


def ours(text: str) -> bool:
    """Whether this is the work done, or an error of ours with a hint."""
    return text == "done" or (text.startswith("refused: ") and not text.endswith(" | "))
