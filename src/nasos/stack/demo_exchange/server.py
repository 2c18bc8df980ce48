"""The demo exchange over HTTP/1.1.

Rules: it listens on a loopback address or not at all. At most ``CONNECTIONS`` at a time, each closed after a
minute without a request; a body is never read. SIGTERM and SIGINT end it with exit code 0.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address, IPv6Address, ip_address
from socketserver import ThreadingTCPServer
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from nasos.errors import PortTaken, UsageError
from nasos.stack.demo_exchange.accounts import SITE, Accounts
from nasos.stack.demo_exchange.binance import answer, needs_key
from nasos.stack.demo_exchange.query import Query, Refused

CONNECTIONS: Final = 256
"""One bot alone may hold 100 (the pool of its HTTP library) and opens them anew before the old ones time out."""


class Request(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server_version = "nasos-demo"
    sys_version = ""
    timeout = 60
    wbufsize = -1  # header and body leave in one packet; two would wait for each other (Nagle, delayed ACK)

    def do_GET(self) -> None:
        """Answer a public request, one that a key signed, or one about keys."""
        try:
            self._send(200, self._answer(time.time()))
        except Refused as refused:
            self._send(refused.status, {"code": refused.code, "msg": refused.message})
        except ValueError:
            self._send(400, {"code": -1101, "msg": "Too many parameters sent for this endpoint, or not a URL."})

    def _answer(self, now: float) -> object:
        parts, accounts = urlsplit(self.path), self.server.accounts  # type: ignore[attr-defined]  # it is an `Exchange`
        query = Query(dict(parse_qsl(parts.query, max_num_fields=20)))
        if parts.path.startswith(SITE):
            return accounts.site(self.command, parts.path, query, now)
        if needs_key(parts.path):
            return accounts.answer(parts.path, self.headers.get("X-MBX-APIKEY"), parts.query, query, now)
        return answer(parts.path, query, now)

    def _write(self) -> None:
        self.close_connection = True  # with whatever body there was
        if urlsplit(self.path).path.startswith(SITE):
            self.do_GET()
        else:
            self._send(401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})

    do_POST = do_PUT = do_DELETE = _write  # noqa: N815 - as above

    def _send(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
        """Say nothing: a bot asks several times a second."""


class Exchange(ThreadingTCPServer):
    """The listening server; a thread per connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = CONNECTIONS

    def __init__(self, listen: str, port: int) -> None:
        """Bind.

        Raises:
            UsageError: ``listen`` is not a loopback address.
            PortTaken: Somebody else listens there.
        """
        address = _loopback(listen)
        self.address_family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self.accounts = Accounts()
        try:
            super().__init__((str(address), port), Request)
        except OSError as error:
            raise PortTaken(
                f"cannot listen on {address} port {port}: {error.strerror}", "choose another --port"
            ) from None

    @property
    def port(self) -> int:
        """The port that it listens on; chosen by the system when asked for 0."""
        return int(self.server_address[1])

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve, or hang up when too many are connected already."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients hang up in the middle of things."""


def serve(exchange: Exchange, announce: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; ``announce`` is called once both are looked after. From the main thread only."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with exchange:
        threading.Thread(target=exchange.serve_forever, daemon=True).start()
        announce()
        signal.sigwait(ends)
        exchange.shutdown()


def _loopback(listen: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(listen)
    except ValueError:
        raise UsageError(f"{listen!r} is not an IP address", "--listen 127.0.0.1") from None
    if not address.is_loopback:
        raise UsageError(f"the demo exchange listens on loopback only, not on {address}", "--listen 127.0.0.1")
    return address


__all__ = ["CONNECTIONS", "Exchange", "serve"]
