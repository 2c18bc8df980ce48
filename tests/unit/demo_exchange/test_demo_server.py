"""The exchange on the wire: loopback only, bounded, and gone when told to go."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.demo_exchange import running_exchange
from nasos.errors import PortTaken, UsageError
from nasos.stack.demo_exchange.server import CONNECTIONS, Exchange

COMMAND = [sys.executable, "-m", "nasos.stack.demo_exchange"]


def test_one_connection_carries_many_requests(exchange: int) -> None:
    """Keep-alive: good and refused requests alike leave the connection open."""
    connection = http.client.HTTPConnection("127.0.0.1", exchange, timeout=10)
    connection.connect()
    local = connection.sock.getsockname()
    for path, status in (("/api/v3/ping", 200), ("/api/v3/klines", 400), ("/api/v3/account", 401), ("/x", 404)):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == status
        assert isinstance(json.load(response), dict)
        assert connection.sock.getsockname() == local
    connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_there_is_no_account(exchange: int, method: str) -> None:
    """Orders are refused the way a bad key is, body unread."""
    connection = http.client.HTTPConnection("127.0.0.1", exchange, timeout=10)
    connection.request(method, "/api/v3/order", body="symbol=OAKUSDT&side=BUY", headers={"X-MBX-APIKEY": "k"})
    response = connection.getresponse()
    assert response.status == 401
    assert json.load(response)["code"] == -2015
    connection.close()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://[ HTTP/1.1", 400),
        (b"GET /api/v3/time?" + b"&".join(b"a%d=1" % number for number in range(50)) + b" HTTP/1.1", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1", 414),
        (b"nonsense", 400),
    ],
)
def test_garbage_is_answered_and_forgotten(exchange: int, line: bytes, status: int) -> None:
    """A malformed request gets an error; the next client is served."""
    with socket.create_connection(("127.0.0.1", exchange), timeout=10) as connection:
        connection.sendall(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert re.search(rb"(HTTP/1.1 |Error code: |)%d" % status, connection.makefile("rb").read())
    test_one_connection_carries_many_requests(exchange)


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])  # noqa: S104 - to be refused
def test_only_loopback_is_listened_on(listen: str) -> None:
    """Any other address, and any name, is refused before a socket exists; exit code 2."""
    with pytest.raises(UsageError):
        Exchange(listen, 0)
    done = subprocess.run([*COMMAND, "--port", "0", "--listen", listen], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nasos: hint: --listen 127.0.0.1" in done.stderr


def test_the_socket_is_bound_to_loopback(exchange: int) -> None:
    """The kernel agrees: the one listening socket of that port is on 127.0.0.1."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{exchange:04X}")]
    assert listening == [f"0100007F:{exchange:04X}"]


def test_a_taken_port_is_said() -> None:
    """Somebody else's port: an error with a hint, exit code 3."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken):
            Exchange("127.0.0.1", port)
        done = subprocess.run([*COMMAND, "--port", str(port)], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(end: signal.Signals) -> None:
    """Exit code 0 and not a word, also while a client is connected."""
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)):
            process.send_signal(end)
            assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_connections_are_bounded() -> None:
    """One client too many is hung up on; when another leaves there is room again."""
    with running_exchange() as port:
        clients = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(CONNECTIONS)]
        for client in clients:
            client.request("GET", "/api/v3/ping")
            assert client.getresponse().read() == b"{}"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as surplus:
            assert surplus.recv(1) == b""
        clients.pop().close()
        while not _pings(port):
            pass
        for client in clients:
            client.close()


def _pings(port: int) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request("GET", "/api/v3/ping")
        return client.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()
