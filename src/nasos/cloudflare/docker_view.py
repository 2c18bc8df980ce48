"""A read-only view of a Docker Engine: who has the Engine's own socket is root on the machine, who has this one is not.

Rules: two questions are answered, word for word those of `engine`; everything else is refused without being passed on.
Of a container its ID, name, state and labels ``cloudflare.*`` are shown, nothing else that the Engine says of it. Of
events only that there was one. At most `MOST` askers at a time.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

import msgspec

from nasos.cloudflare.engine import EVENTS, LARGEST, LIST, SECONDS, Listed, Local
from nasos.cloudflare.labels import PREFIX
from nasos.errors import StackError

MOST: Final = 8


class View(socketserver.ThreadingUnixStreamServer):
    """Listens at ``path``, asks the Engine at ``engine``."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: Path, engine: Path, mode: int = 0o600) -> None:
        if path.is_socket():  # of one that was killed; a file that was named by mistake is in the way, and stays
            path.unlink()
        self.engine, self.room = engine, threading.BoundedSemaphore(MOST)
        before = os.umask(0o777 & ~mode)
        try:
            super().__init__(str(path), _Asked)
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise StackError(f"cannot listen at {path}: {why}", f"ls -ld {path.parent}") from None
        finally:
            os.umask(before)


class _Asked(BaseHTTPRequestHandler):
    """One connection, one question."""

    server: View
    timeout = SECONDS

    def do_GET(self) -> None:
        if self.path not in (LIST, EVENTS):
            self.send_error(403)
            return
        if not self.server.room.acquire(blocking=False):
            self.send_error(503)
            return
        try:
            self._list() if self.path == LIST else self._events()
        except (OSError, http.client.HTTPException, msgspec.MsgspecError):
            self.close_connection = True  # whoever asked sees that there is no answer
        finally:
            self.server.room.release()

    def _list(self) -> None:
        connection = Local(self.server.engine)
        try:
            connection.request("GET", LIST)
            answer = connection.getresponse()
            content = answer.read(LARGEST)
        finally:
            connection.close()
        if answer.status != 200:
            self.send_error(502)
            return
        shown = msgspec.json.encode([_shown(each) for each in msgspec.json.decode(content, type=tuple[Listed, ...])])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(shown)))
        self.end_headers()
        self.wfile.write(shown)

    def _events(self) -> None:
        connection = Local(self.server.engine, seconds=None)
        try:
            connection.request("GET", EVENTS)
            answer = connection.getresponse()
            if answer.status != 200:
                self.send_error(502)
                return
            self.send_response(200)
            self.end_headers()
            self._pass_on(connection.sock)
        finally:
            connection.close()

    def _pass_on(self, events: socket.socket) -> None:
        """A line for whatever comes, until one of both sides ends."""
        while True:
            ready, _, _ = select.select([events, self.connection], [], [])
            if self.connection in ready or not events.recv(1 << 16):
                return
            self.wfile.write(b"{}\n")

    def address_string(self) -> str:
        """A unix socket has none."""
        return ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its parameter's name
        """Nothing is written: every minute somebody asks."""


def _shown(listed: Listed) -> Listed:
    labels = {key: value for key, value in (listed.labels or {}).items() if key.startswith(PREFIX)}
    return msgspec.structs.replace(listed, labels=labels)
