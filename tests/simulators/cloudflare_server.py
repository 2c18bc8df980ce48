"""The simulated Cloudflare on a socket, and as a wire of the client's for tests that ask a million times."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import msgspec

from nasos.cloudflare.wire import Heard, NoAnswer
from simulators.cloudflare import Cloudflare

PREFIX = "/client/v4"


@contextmanager
def serving(
    simulated: Cloudflare, listening: socket.socket | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Its origin, while the block lasts: a port of loopback, unless a socket is given."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                reply = simulated.handle(
                    self.command, parts.path.removeprefix(PREFIX), dict(parse_qsl(parts.query)),
                    self.headers.get("Authorization", ""), body,
                )  # fmt: skip
            if not reply.status:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  names of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its parameter's name
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if listening is not None:
        server.socket.close()
        # Nobody's handshake holds up the others: it is done by the thread that answers.
        server.socket = (
            tls.wrap_socket(listening, server_side=True, do_handshake_on_connect=False) if tls else listening
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class Direct:
    """In place of the client's wire: the same requests and answers without a socket."""

    def __init__(self, simulated: Cloudflare, token: str = "t" * 40) -> None:
        self._simulated, self._token = simulated, token

    def close(self) -> None:
        """Nothing is open."""

    def send(self, method: str, path: str, query: Mapping[str, str | int], body: object) -> Heard:
        """One request."""
        content = b"" if body is None else msgspec.json.encode(body)
        texts = {key: str(value) for key, value in query.items()}
        reply = self._simulated.handle(method, path, texts, f"Bearer {self._token}", content)
        if not reply.status:
            raise NoAnswer("Cloudflare's answer was lost", sent=True)
        return Heard(reply.status, reply.headers, reply.content)
