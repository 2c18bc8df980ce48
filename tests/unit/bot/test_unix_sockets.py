"""A process that may open no unix socket, on the kernel that runs the test."""

from __future__ import annotations

import json
import subprocess
import sys

TRY = """
import asyncio, ctypes, json, os, socket, sys
if sys.argv[1] == "refused":
    from nasos.bot.unix_sockets import refuse
    assert refuse()

def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def ring():
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    if call(ctypes.c_long(425), ctypes.c_long(1), None) < 0 and ctypes.get_errno() == 38:
        raise OSError(38, "")

async def pair():
    left, right = socket.socketpair()
    left.sendall(b"x")
    assert right.recv(1) == b"x"

print(json.dumps({
    "stream": outcome(lambda: socket.socket(socket.AF_UNIX)),
    "datagram": outcome(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)),
    "by a fork": os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(sys.executable, [
        sys.executable, "-I", "-c", "import socket; socket.socket(socket.AF_UNIX)"], {}), 0)[1]),
    "tcp": outcome(lambda: socket.create_server(("127.0.0.1", 0))),
    "udp": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "event loop with a socket pair": outcome(lambda: asyncio.run(pair())),
    "io_uring": outcome(ring),
}))
"""


def tried(how: str) -> dict[str, object]:
    """What a process can do."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", TRY, how], capture_output=True, text=True, check=True)
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_named_sockets_are_refused_and_nothing_else_is() -> None:
    """Streams and datagrams, in a child too, and the way around by io_uring; TCP, UDP and socket pairs stay."""
    assert tried("refused") == {
        "stream": "PermissionError",
        "datagram": "PermissionError",
        "by a fork": 1,
        "tcp": "done",
        "udp": "done",
        "event loop with a socket pair": "done",
        "io_uring": "OSError",
    }


def test_without_the_filter_all_of_it_is_allowed() -> None:
    """The negative twin (io_uring may be switched off here by the machine's owner)."""
    said = tried("allowed")
    said.pop("io_uring")
    assert said == dict.fromkeys(said, "done") | {"by a fork": 0}
