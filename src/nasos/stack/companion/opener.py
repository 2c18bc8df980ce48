"""Two files for somebody who may open none: a process that opens them, and hands the open file over.

Rules:

* Landlock gives a file by its inode, and editors and `atomic_write` put another one in its place; to give the directory
  would give what else lies there: the other services' credentials, a checkout with its ``.env``. So the one who speaks
  with the network has neither, and asks.
* It opens what was named at the start and nothing else, for reading; it listens to one question of one byte. It is
  confined too: to the two directories, without any network.
* It ends with whoever asks. When it ends first, the other one ends as well and is started again.
"""

from __future__ import annotations

import array
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nasos.bot.sandbox import Confinement, enter

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that was put there is not waited for


class Opener:
    """Started before anything else: a fork, while the process has one thread and no secret."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """``files`` by a letter each."""
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._ours.close()
            _serve(theirs, {letter.encode(): path for letter, path in files.items()})
        theirs.close()

    def open(self, letter: str) -> int:
        """A descriptor of that file as it is now; the caller's to close.

        Raises:
            OSError: It cannot be opened.
            SystemExit: Nobody opens files any more.
        """
        try:
            self._ours.send(letter.encode())
            answer, descriptors, _, _ = socket.recv_fds(self._ours, 16, 1)
        except OSError:
            answer, descriptors = b"", []
        if not answer:
            raise SystemExit("nasos: error: the process that opens files has ended")
        if not descriptors:
            number = int(answer)
            raise OSError(number, os.strerror(number))
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]


def _serve(asked: socket.socket, files: Mapping[bytes, Path]) -> None:
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # who asks decides when it is over
        enter(Confinement(read=tuple(str(path.parent) for path in files.values()), bind=(), connect=(), unix=False))
        while letter := asked.recv(1):
            try:
                fd = os.open(files[letter], _FLAGS)
            except OSError as error:
                asked.send(b"%d" % (error.errno or 0))
                continue
            asked.sendmsg([b"0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            os.close(fd)
    finally:
        os._exit(0)
