"""The websocket passes, and no token or password reaches any of nginx's logs or files, also when the bot is down."""

from __future__ import annotations

import base64
import os
import struct
import time
from pathlib import Path

import msgspec
import pytest

from fixtures.edge import Edge, edge_config, running
from simulators.bot_api import ACCESS_TOKEN, PASSWORD, USERNAME, BotApi

WS = "/api/v1/message/ws"
CANARY = "canary-7f3a91d2c4"
BASIC = base64.b64encode(f"{USERNAME}:{CANARY}".encode()).decode()

LEAKY = [
    f"{WS}?token={CANARY}",
    f"/{WS}?token={CANARY}",
    f"{WS}/?token={CANARY}",
    f"{WS}%3Ftoken={CANARY}",
    f"{WS}%3ftoken={CANARY}",
    f"/api/v1/balance?token={CANARY}",
    f"/?token={CANARY}",
    f"/nowhere?token={CANARY}",
    f"/openapi.json?token={CANARY}",
    f"http://localhost{WS}?token={CANARY}",
]


def _upgrade(edge: Edge, target: str, *, origin: str | None = None, protocol: str = "websocket") -> tuple[int, bytes]:
    """Ask for a websocket, send one frame, and return the status and what came back of it."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {target} HTTP/1.1", f"Host: localhost:{edge.port}", f"Upgrade: {protocol}", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    if origin:
        lines.append(f"Origin: {origin}")
    with edge.connect() as secure:
        secure.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += secure.recv(4096) or b"\r\n\r\n"
        status = int(head.split()[1])
        if status != 101:
            return status, b""
        text, mask = b"hello", b"\x01\x02\x03\x04"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
        secure.sendall(struct.pack("!BB", 0x81, 0x80 | len(text)) + mask + masked)
        answer = head.partition(b"\r\n\r\n")[2]
        while len(answer) < 2 + len(text):
            answer += secure.recv(4096)
        return status, answer[2:]


def test_websocket_passes(edge: Edge) -> None:
    """A program's websocket, without an Origin, carries frames both ways; the bot gets the token."""
    assert _upgrade(edge, f"{WS}?token={ACCESS_TOKEN}") == (101, b"hello")
    assert edge.bot.received[-1].target == f"{WS}?token={ACCESS_TOKEN}"


def test_websocket_of_our_own_page_passes(edge: Edge) -> None:
    """A browser on the edge's own page may connect."""
    assert _upgrade(edge, WS, origin=f"https://localhost:{edge.port}")[0] == 101


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://localhost", "null", "https://localhost.evil.example"]
)
def test_websocket_of_a_foreign_page_is_refused(edge: Edge, origin: str) -> None:
    """freqtrade does not look at the Origin; the edge does."""
    assert _upgrade(edge, f"{WS}?token={ACCESS_TOKEN}", origin=origin)[0] == 403
    assert not edge.bot.received


def test_nothing_else_leaves_http(edge: Edge) -> None:
    """An upgrade elsewhere, or to another protocol, arrives at the bot as an ordinary request."""
    _upgrade(edge, "/api/v1/ping")
    _upgrade(edge, WS, protocol="h2c")
    assert all("upgrade" not in received.headers for received in edge.bot.received)
    assert len(edge.bot.received) == 2


def _provoke(edge: Edge) -> None:
    for target in LEAKY:
        edge.get(target)
        edge.get(target, Authorization=f"Bearer {CANARY}", Cookie=f"session={CANARY}")
        edge.send("POST", target, {"Authorization": f"Basic {BASIC}"}, CANARY.encode())
    _upgrade(edge, f"{WS}?token={CANARY}")
    for _ in range(10):
        edge.send("POST", f"/api/v1/token/login?token={CANARY}", {"Authorization": f"Basic {BASIC}"})
    for _ in range(80):
        edge.get(f"/api/v1/ping?token={CANARY}")
    # One worker writes in order: with this line all others are there.
    edge.get("/the-end")
    _logged(edge, "/the-end")


def _logged(edge: Edge, word: str) -> str:
    """The newest line of the access log with ``word`` in it; nginx writes it after the answer, so wait for it."""
    deadline = time.monotonic() + 15
    while True:
        lines = (edge.directory / "access.log").read_text().splitlines()
        found = [line for line in lines if word in line]
        if found:
            return found[-1]
        assert time.monotonic() < deadline, f"no line with {word}"
        time.sleep(0.02)


def _written(directory: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in directory.rglob("*") if path.is_file())


def test_no_token_is_written_while_the_bot_answers(edge: Edge) -> None:
    """Neither a query, nor a header, nor a body, nor a refused or limited request leaves its secret in a file."""
    _provoke(edge)
    written = _written(edge.directory)
    assert WS in written
    assert CANARY not in written
    assert BASIC not in written


def test_no_token_is_written_while_the_bot_is_down(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """The error for an unreachable bot, which nginx writes with the whole request, does not either."""
    with BotApi(certificates) as gone:
        port = gone.port
    config = edge_config(certificates, tmp_path, port)
    with running(binary, config):
        edge = Edge(config, binary, gone, certificates / "ca.pem")
        assert edge.get(f"{WS}?token={CANARY}").status == 503
        _provoke(edge)
    assert '"status":503' in _written(tmp_path)
    assert CANARY not in _written(tmp_path)


def test_a_talkative_error_log_would_leak(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """The negative twin: with nginx's usual level the token of a websocket stands in the log once the bot is down."""
    with BotApi(certificates) as gone:
        port = gone.port
    config = edge_config(certificates, tmp_path, port)
    usual = lambda text: text.replace('error.log" crit;', 'error.log" error;').replace('.log" emerg;', '.log" error;')  # noqa: E731  one line that does nothing
    with running(binary, config, usual):
        Edge(config, binary, gone, certificates / "ca.pem").get(f"{WS}?token={CANARY}")
    assert CANARY in _written(tmp_path)


def test_access_log_is_one_json_object_per_request(edge: Edge) -> None:
    """The access log can be read by a program: path without query, client, status, upstream."""
    edge.get("/api/v1/ping?x=%22quoted%22", User_Agent='a "b" \\ c')
    last = msgspec.json.decode(_logged(edge, f'"{edge.source}"'))
    assert last["path"] == "/api/v1/ping"
    assert (last["client"], last["status"], last["upstream"]) == (edge.source, 200, "200")
    assert last["agent"] == 'a "b" \\ c'


def test_password_is_right_through_the_edge(edge: Edge) -> None:
    """The simulator's password is a real one: the canary tests above were about refused ones."""
    pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    assert edge.send("POST", "/api/v1/token/login", {"Authorization": f"Basic {pair}"}).status == 200
    assert pair not in edge.logs()
