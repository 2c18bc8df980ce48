"""Where visitors meet the simulated Cloudflare: HTTPS under the public name, passed on to the origin as the zone says.

It shows the origin the client certificate that it was given, if the zone says so and all of it has it, and is as strict
with the origin's certificate as ``ssl`` of the zone asks for: 526 where that is not one of the Origin CA's.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from simulators.cloudflare import Zone

SECONDS = 15.0


@dataclass
class Front:
    """What it knows of one zone, and of its origin."""

    zone: Zone
    roots: str
    """Of the Origin CA, PEM."""
    origin: tuple[str, int]
    source: str
    """Its own address, as the origin sees it."""
    statuses: list[int] = field(default_factory=list)
    """Of what it answered."""

    def shown(self) -> str | None:
        """Certificate and key that the origin is shown."""
        active = [each for each in self.zone.pulls.values() if each["status"] == "active"]
        if not active or not self.zone.pulls_on:
            return None
        return str(active[-1]["certificate"] + active[-1]["private_key"])

    def ask(self, host: str, path: str) -> tuple[int, bytes]:
        """The origin's answer, or Cloudflare's own about it."""
        strict = self.zone.settings["ssl"] == "strict"
        context = ssl.create_default_context(cadata=self.roots)
        context.check_hostname = strict
        context.verify_mode = ssl.CERT_REQUIRED if strict else ssl.CERT_NONE
        with contextlib.ExitStack() as held:
            if pair := self.shown():
                context.load_cert_chain(held.enter_context(in_memory(pair.encode())))
            try:
                plain = held.enter_context(socket.create_connection(self.origin, SECONDS, (self.source, 0)))
                secure = held.enter_context(context.wrap_socket(plain, server_hostname=host))
                connection = http.client.HTTPConnection(host)
                connection.sock = secure
                connection.request("GET", path, headers={"CF-Connecting-IP": "203.0.113.9"})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except ssl.SSLCertVerificationError:
                return 526, b"invalid SSL certificate"
            except ssl.SSLError:
                return 525, b"SSL handshake failed"
            except (OSError, http.client.HTTPException):
                return 520, b"the origin closed the connection"


@contextlib.contextmanager
def in_memory(content: bytes) -> Iterator[Path]:
    """A file that is on no disk."""
    fd = os.memfd_create("pair")
    try:
        os.write(fd, content)
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


@contextlib.contextmanager
def visited(front: Front, at: tuple[str, int], certificate: Path, key: Path) -> Iterator[None]:
    """Answer visitors there while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = front.ask(self.headers.get("Host", "").partition(":")[0], self.path)
            front.statuses.append(status)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its parameter's name
            """Tests are quiet."""

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
            # Here, in a thread of its own: who says nothing keeps nobody else waiting.
            request.settimeout(SECONDS)
            with contextlib.suppress(OSError), context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server(at, Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
