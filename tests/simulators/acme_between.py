"""Stands between a client and a real ACME server: passes everything on, and answers itself where a test says so.

The server builds its addresses from the Host header, which is passed on: for the client this is the server.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

RENEWAL_INFO = "/ari"


@dataclass(frozen=True)
class Answer:
    """What is answered instead of the server's answer, or made of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def problem(cls, status: int, kind: str, detail: str, **headers: str) -> Answer:
        """A problem document (RFC 7807)."""
        body = json.dumps({"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"Content-Type": "application/problem+json", **named}, body)


Change = Callable[[Answer], Answer]


class Between:
    """A TLS server in front of the ACME server at ``directory``."""

    def __init__(self, directory: str, cert: Path, key: Path) -> None:
        self._there = urlsplit(directory)
        self._ca = cert.parent / "ca.pem"
        self.changes: list[tuple[str, Change]] = []
        """Part of a path -> what becomes of the answer there; each once, the first that fits."""
        self.asked: list[str] = []
        """``METHOD path`` of each request."""
        self.bodies: list[bytes] = []
        """What was sent with them."""
        self.renewal_info: Answer | None = None
        """What is said about any certificate; None: the server has no such thing."""
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                between._serve(self)

            do_POST = do_HEAD = do_GET  # noqa: N815  the library's names

            def log_message(self, *_args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def directory(self) -> str:
        """For the client."""
        return f"https://127.0.0.1:{self._server.server_port}{self._there.path}"

    def answer_once(self, part: str, answer: Answer) -> None:
        """The next request whose path has this in it gets this answer; the server's own is lost."""
        self.changes.append((part, lambda _real: answer))

    def change_once(self, part: str, change: Change) -> None:
        """The next yes to such a request is changed on its way back.

        A no is passed on: Pebble refuses one nonce in twenty on purpose, and the client asks again.
        """

        def unless_refused(real: Answer) -> Answer:
            if real.status >= HTTPStatus.BAD_REQUEST:
                self.changes.append((part, unless_refused))
                return real
            return change(real)

        self.changes.append((part, unless_refused))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.bodies += [body] * bool(body)
        self.asked.append(f"{request.command} {request.path}")
        if request.path.startswith(RENEWAL_INFO) and self.renewal_info:
            self._reply(request, self.renewal_info)
            return
        real = self._passed_on(request, body)
        if request.path == self._there.path and self.renewal_info:
            known = json.loads(real.body) | {"renewalInfo": f"https://{request.headers['Host']}{RENEWAL_INFO}"}
            real = Answer(real.status, real.headers, json.dumps(known).encode())
        found = next((each for each in self.changes if each[0] in request.path), None)
        if found:
            self.changes.remove(found)
            real = found[1](real)
        self._reply(request, real)

    def _passed_on(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        context = ssl.create_default_context(cafile=str(self._ca))
        there = http.client.HTTPSConnection(self._there.hostname or "", self._there.port, timeout=30, context=context)
        kept = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
        try:
            there.request(request.command, request.path, body or None, kept)
            answer = there.getresponse()
            names = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            links = answer.headers.get_all("Link") or []
            return Answer(answer.status, names | ({"Link": ", ".join(links)} if links else {}), answer.read())
        finally:
            there.close()

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, answer: Answer) -> None:
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(answer.body)


_HOP = {"connection", "content-length", "transfer-encoding", "link"}
