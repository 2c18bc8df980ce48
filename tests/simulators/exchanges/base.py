"""What the simulated exchanges share: a server on loopback, keys, a clock of their own, and faults on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

HERE = "127.0.0.1"


@dataclass
class Key:
    """One API key of an account."""

    key: str
    secret: str
    passphrase: str = ""
    rights: frozenset[str] = frozenset({"read", "trade"})
    addresses: tuple[str, ...] = (HERE,)
    created: datetime = datetime(2026, 10, 1, tzinfo=UTC)
    expires: datetime | None = None
    account: str = "354937868"
    label: str = "bot"
    frozen: bool = False

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)


@dataclass(frozen=True)
class Request:
    """What came over the wire."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    body: str
    client: str


@dataclass(frozen=True)
class Reply:
    """What goes back."""

    status: int
    document: object
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """Instead of the document."""


@dataclass
class Simulator:
    """One exchange; subclasses know how requests are signed and what is answered."""

    name: ClassVar[str]
    window: ClassVar[float] = 5.0
    """Seconds by which a request may be older than the exchange's clock."""
    keys: dict[str, Key] = field(default_factory=dict)
    ahead: float = 0.0
    """Seconds by which its clock is ahead."""
    client: str = HERE
    """Where requests are said to come from."""
    next: list[Reply] = field(default_factory=list)
    """Answers that stand in for the real ones, once each."""
    accepted: list[str] = field(default_factory=list)
    """Keys of the requests that were accepted."""
    origin: str = ""

    def answer(self, request: Request) -> Reply:
        """The answer to one request."""
        raise NotImplementedError

    def add(self, key: Key) -> Key:
        """The account has another key."""
        self.keys[key.key] = key
        return key

    def now(self) -> float:
        """Seconds since 1970 by its clock."""
        return time.time() + self.ahead

    def in_time(self, milliseconds: float) -> bool:
        """Whether a request of that time is taken: not older than the window, not more than a second ahead."""
        age = self.now() - milliseconds / 1000
        return -1.0 < age < self.window

    @contextmanager
    def running(self) -> Iterator[Simulator]:
        """Serve on a port of its own while the block lasts."""
        server = ThreadingHTTPServer((HERE, 0), handler(self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        self.origin = f"http://{HERE}:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def handler(simulator: Simulator) -> type[BaseHTTPRequestHandler]:
    """Requests become `Request`, `Reply` becomes an answer."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body, simulator.client)
            reply = simulator.next.pop(0) if simulator.next else simulator.answer(request)
            content = json.dumps(reply.document).encode() if reply.raw is None else reply.raw
            self.send_response_only(reply.status)
            self.send_header("Date", formatdate(simulator.now(), usegmt=True))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815  the library's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the overridden name
            """Say nothing."""

    return Handler


def in_days(days: float) -> datetime:
    """From now."""
    return datetime.now(UTC) + timedelta(days=days)
