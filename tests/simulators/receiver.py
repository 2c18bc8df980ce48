"""Where alerts arrive: an HTTP receiver that answers, refuses or hangs, and a mail server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What arrived, and how the next request is answered."""

    port: int = 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200
    hanging: threading.Event | None = None
    """Set: requests wait for it before they are answered."""

    def url(self, path: str = "token-in-path") -> str:
        """The apprise URL of this receiver."""
        return f"json://127.0.0.1:{self.port}/{path}"


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """A receiver on a port of its own; what hangs is let go at the end."""
    receiver = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if receiver.hanging is not None:
                receiver.hanging.wait(120)
                return
            receiver.paths.append(self.path)
            receiver.messages.append(json.loads(body))
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hanging is not None:
            receiver.hanging.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Mail(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a client without extensions speaks."""

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().strip():
            word = line.split(b" ", 1)[0].upper().partition(b":")[0]
            if word == b"DATA":
                self._say("354 go on")
                lines = []
                while (text := self.rfile.readline()).strip() != b"." and text:
                    lines.append(text)
                self.server.letters.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            self._say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class MailServer(socketserver.ThreadingTCPServer):
    """A mail server that keeps what it gets."""

    daemon_threads = True

    def __init__(self) -> None:
        self.letters: list[str] = []
        super().__init__(("127.0.0.1", 0), _Mail)

    @property
    def url(self) -> str:
        """The apprise URL of this server."""
        return f"mailto://127.0.0.1:{self.server_address[1]}/?from=nasos@example.org&to=you@example.org&mode=insecure"


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server on a port of its own."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
