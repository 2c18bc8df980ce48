"""A server on loopback that does to a connection exactly what the script says: answer, hang up, stall."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Step = Callable[[socket.socket], None]
"""What happens after one whole request was read; closing the socket ends the connection."""


def request_from(connection: socket.socket) -> bytes:
    """One whole request; empty when the client is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b"{}", status: str = "200 OK", extra: str = "") -> Step:
    """A whole answer; the connection stays open."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode()
    return lambda connection: connection.sendall(head + body)


def hang_up(connection: socket.socket) -> None:
    """End the connection without an answer."""
    connection.close()


def half_an_answer(connection: socket.socket) -> None:
    """Promise ten bytes, send one, hang up."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")
    connection.close()


def nonsense(connection: socket.socket) -> None:
    """No HTTP at all."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    connection.close()


def then_hang_up(step: Step) -> Step:
    """Answer, and close the connection right after, unasked."""

    def act(connection: socket.socket) -> None:
        step(connection)
        connection.close()

    return act


@dataclass
class RawServer:
    """Plays one list of steps per connection, in the order in which they come."""

    connections: list[list[Step]]
    listener: socket.socket = field(default_factory=socket.socket)
    requests: list[bytes] = field(default_factory=list)
    """Every whole request that arrived."""
    stop: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    """Set after each connection's last step."""

    @property
    def address(self) -> str:
        """``http://127.0.0.1:port``."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def stall(self, _connection: socket.socket) -> None:
        """Say nothing until the test is over."""
        self.stop.wait(30)

    def serve(self) -> None:
        """Play the script."""
        for steps in self.connections:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                for step in steps:
                    request = request_from(connection)
                    if not request:
                        break
                    self.requests.append(request)
                    step(connection)
            self.closed.set()


@contextlib.contextmanager
def raw_server(*connections: list[Step]) -> Iterator[RawServer]:
    """A running server; ended with the block."""
    server = RawServer(list(connections))
    server.listener.bind(("127.0.0.1", 0))
    server.listener.listen()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        with contextlib.suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(10)
