"""Landlock: the bot's process reaches the files and TCP ports that it was given, and no others.

Rules:

* Irrevocable, and inherited through fork and exec; entered while the process has one thread, before freqtrade is
  imported, because a rule set binds the thread that enters it and those that it starts later (landlock(7)).
* An allow list: what is not named is refused. What does not exist is left out.
* A kernel without Landlock confines nothing; whoever starts the bot says so. One that has it and refuses is an error.
* ``/proc`` as a whole is never given: with it, Landlock kept another process's memory shut, but not its environment
  (measured, Linux 6.18). A rule holds an inode, and those of /proc are made anew once the kernel has dropped its
  caches (measured); so the few that are given stay open for the life of the process.

Not covered by Landlock up to ABI 7: unix sockets with a path (`unix_sockets.py` refuses them), UDP, and ``stat`` of any
path.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import struct
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from nasos.bot import unix_sockets
from nasos.errors import BotError

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_RULE_PATH, _RULE_PORT = 1, 2
_VERSION: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38

# <linux/landlock.h>, LANDLOCK_ACCESS_FS_*
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE, _MAKE_DIRECTORY, _MAKE_FILE, _MAKE_LINK = 1 << 4 | 1 << 5, 1 << 7, 1 << 8, 1 << 12
_MOVE, _TRUNCATE = 1 << 13, 1 << 14
_OF_A_FILE: Final = _EXECUTE | _WRITE | _READ | _TRUNCATE
_KNOWN: Final = ((5, 16), (3, 15), (2, 14), (1, 13))
"""ABI -> how many file access rights it knows."""
_BIND, _CONNECT = 1 << 0, 1 << 1  # LANDLOCK_ACCESS_NET_*, ABI 4
_SCOPES: Final = 1 << 0 | 1 << 1  # abstract unix sockets and signals, ABI 6
TCP: Final = 4
"""The first ABI that limits TCP ports."""

READING: Final = _READ | _LIST
RUNNING: Final = READING | _EXECUTE
CHANGING: Final = READING | _WRITE | _REMOVE | _MAKE_DIRECTORY | _MAKE_FILE | _MAKE_LINK | _MOVE | _TRUNCATE

_LIBRARIES: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store")
# All of /etc: resolv.conf, hosts and localtime are replaced by renaming, and a rule on the old file would be lost.
_SETTINGS: Final = ("/etc", "/var/lib/ca-certificates", "/sys/devices/system/cpu", "/sys/devices/system/node")
_DEVICES: Final = ("/dev/zero", "/dev/random", "/dev/urandom")
_HELD: Final = ("/proc/self", "/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/uptime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What one bot needs besides Python, its libraries and the system's settings."""

    read: tuple[str, ...] = ()
    """Files, and directories with all that is in them."""
    write: tuple[str, ...] = ()
    """Read and changed, but not executed."""
    bind: tuple[int, ...] | None = None
    """TCP ports that it may listen on; None: any."""
    connect: tuple[int, ...] | None = None
    """TCP ports that it may connect to, on any host; None: any."""
    unix: bool = True
    """Whether it may open unix sockets (`unix_sockets.py`)."""

    def also_reading(self, files: Iterable[Path]) -> Confinement:
        """The same, and these files."""
        return replace(self, read=tuple(dict.fromkeys((*self.read, *map(str, files)))))

    def encode(self) -> str:
        """As an argument; it holds no secret."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Confinement:
        """What `encode` made."""
        content = json.loads(text)
        ports = {name: None if content[name] is None else tuple(content[name]) for name in ("bind", "connect")}
        return cls(read=tuple(content["read"]), write=tuple(content["write"]), unix=content["unix"], **ports)


def supported() -> int:
    """The kernel's Landlock ABI; 0 when it has none, or when it is switched off."""
    try:
        return _system_call(_CREATE_RULESET, None, 0, _VERSION)
    except OSError as error:
        # EPERM: seccomp filters of containers answer so to what they do not know.
        if error.errno in {errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
            return 0
        raise BotError(f"landlock cannot be asked for: {os.strerror(error.errno or 0).lower()}") from None


def shortcomings() -> dict[str, str]:
    """What no sandbox on this machine can do, and what strategy code reaches for lack of it."""
    found = {}
    if not supported():
        found["the kernel has no landlock"] = "every file of this user"
    if not unix_sockets.known():
        found[f"unix sockets cannot be refused on {platform.machine()}"] = "Docker's socket and the supervisor's"
    return found


def enter(confinement: Confinement) -> int:
    """Confine this process and all that it starts, for good; the ABI that does it, 0 when there is none.

    Raises:
        BotError: The process has threads already, or the kernel has Landlock and refuses.
    """
    if not confinement.unix:
        unix_sockets.refuse()
    abi = supported()
    if not abi:
        return 0
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208  names, without a path for each
        raise BotError("the sandbox must be entered before any thread is started")
    try:
        _enter(confinement, abi)
    except OSError as error:
        raise BotError(f"the kernel refuses the sandbox: {os.strerror(error.errno or 0).lower()}") from None
    return abi


def _enter(confinement: Confinement, abi: int) -> None:
    handled = (1 << next(count for least, count in _KNOWN if abi >= least)) - 1
    ports = [(right, allowed) for right, allowed in ((_BIND, confinement.bind), (_CONNECT, confinement.connect))
             if abi >= TCP and allowed is not None]  # fmt: skip
    limited = sum(right for right, _ in ports)
    scopes = _SCOPES if abi >= 6 else 0
    attributes = struct.pack("=QQQ", handled, limited, scopes)[: 8 if abi < TCP else 24 if scopes else 16]
    rules = _system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow(rules, [*_LIBRARIES, *_python()], RUNNING & handled)
        _allow(rules, [*_SETTINGS, *_name_servers(), *_DEVICES, *confinement.read], READING & handled)
        _allow(rules, _HELD, READING & handled, hold=True)
        _allow(rules, [*confinement.write, "/dev/null"], CHANGING & handled)
        for right, allowed in ports:
            for port in allowed or ():
                _system_call(_ADD_RULE, rules, _RULE_PORT, struct.pack("=QQ", right, port), 0)
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        _system_call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, paths: Iterable[str], rights: int, *, hold: bool = False) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            fitting = rights if os.path.isdir(path) else rights & _OF_A_FILE  # noqa: PTH112  as it was opened
            try:
                _system_call(_ADD_RULE, rules, _RULE_PATH, struct.pack("=Qi", fitting, place), 0)
            finally:
                if not hold:
                    os.close(place)


def _python() -> set[str]:
    """The virtual environment, the interpreter that it stands on, and whatever else modules come from."""
    base = getattr(sys, "_base_executable", sys.executable)
    return {sys.prefix, sys.exec_prefix, sys.base_prefix, str(Path(base).resolve().parent), *filter(None, sys.path)}


def _name_servers() -> list[str]:
    """The directory that /etc/resolv.conf links into: the file there is replaced too (systemd-resolved)."""
    directory = Path("/etc/resolv.conf").resolve().parent
    return [] if directory == Path("/") else [str(directory)]


def _system_call(number: int, *arguments: bytes | int | None) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    given = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    result: int = call(ctypes.c_long(number), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return result
