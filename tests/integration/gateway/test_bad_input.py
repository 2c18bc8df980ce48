"""What is malformed, forged or slow, sent to the real front door: refused in words, and nobody else is kept waiting."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from fixtures.edge import Answer, free_port
from fixtures.front_door import DEADLINE, FrontDoor
from nasos.files import private_directory
from nasos.gateway import tokens
from nasos.gateway.access import Role
from nasos.rotation.signing import decoded
from nasos.vault import VaultClient

COUNT = "/api/v1/count"
MIB = 1 << 20
Forged = dict[str, str]


def _good(door: FrontDoor, **changes: object) -> str:
    """An access token of a living session, as the gateway makes it, with ``changes`` to what it is made of."""
    with VaultClient(door.vault.root_connection, prefix="nasos") as client:
        ring = decoded(client.read("gateway/signing").fields)
    with door.sessions() as sessions:
        session = sessions.start("forger", Role.ADMIN, "x", datetime.now(UTC)).sid
    usual = {"audience": "nasos", "now": datetime.now(UTC), "seconds": 300, "role": Role.ADMIN}
    return tokens.issue(ring, subject="forger", session=session, **{**usual, **changes}).reveal()  # type: ignore[arg-type]


def _resigned(token: str, key: object, **header: object) -> str:
    """The same claims under another header and by another key."""
    claims = jwt.decode(token, options={"verify_signature": False})
    old = jwt.get_unverified_header(token)
    algorithm = str(header.pop("alg", "EdDSA"))
    return jwt.encode(claims, key, algorithm=algorithm, headers={**old, "alg": algorithm, **header})  # type: ignore[arg-type]


def _public(door: FrontDoor) -> str:
    [key, *_] = json.loads(door.edge.get("/.well-known/jwks.json").body)["keys"]
    return str(key["x"])


STRANGER = Ed25519PrivateKey.generate()
FORGERIES: dict[str, Callable[[FrontDoor], str]] = {
    "alg none": lambda door: _resigned(_good(door), None, alg="none"),
    "HS256 by the public key": lambda door: _resigned(_good(door), _public(door), alg="HS256"),
    "another key": lambda door: _resigned(_good(door), STRANGER),
    "another kid": lambda door: _resigned(_good(door), STRANGER, kid="../../dev/null"),
    "jku": lambda door: _resigned(_good(door), STRANGER, jku="https://evil.example/jwks.json"),
    "x5u": lambda door: _resigned(_good(door), STRANGER, x5u="https://evil.example/x.pem"),
    "expired": lambda door: _good(door, now=datetime.now(UTC) - timedelta(hours=1)),
    "future": lambda door: _good(door, now=datetime.now(UTC) + timedelta(hours=1)),
    "other audience": lambda door: _good(door, audience="another"),
    "without signature": lambda door: _good(door).rpartition(".")[0] + ".",
    "refresh as access": lambda door: door.refresh_token(),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_token_is_401_and_the_bot_hears_nothing(door: FrontDoor, how: str) -> None:
    """As bearer, as cookie and in a stream's address; its negative twin is let in."""
    forged = FORGERIES[how](door)
    door.bot.received.clear()
    for headers in ({"Authorization": f"Bearer {forged}"}, {"Cookie": f"__Host-nasos={forged}"}):
        answer = door.edge.send("GET", COUNT, headers)
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "log in first, at /auth/")
    assert door.edge.get(f"/api/v1/message/ws?token={forged}", Upgrade="websocket", Connection="Upgrade",
                         Sec_WebSocket_Key=base64.b64encode(b"k" * 16).decode(), Sec_WebSocket_Version="13",
                         ).status == 403  # fmt: skip
    assert door.bot.received == []


def test_the_token_that_forgers_begin_with_is_good(door: FrontDoor) -> None:
    """The negative twin."""
    assert door.edge.get(COUNT, Authorization=f"Bearer {_good(door)}").status == 200


def _sent(door: FrontDoor, *lines: str) -> int:
    """The status of a request that no HTTP library would send; 0: hung up on."""
    with door.edge.connect() as secure:
        with contextlib.suppress(OSError):  # it may be refused before its end
            secure.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        try:
            head = secure.recv(4096)
        except ConnectionResetError:
            return 0
    return int(head.split()[1]) if head else 0


def test_a_mebibyte_of_token_is_not_looked_at(door: FrontDoor) -> None:
    """In a header, a cookie, an address or a login's body: refused by nginx, whoever else asks is served."""
    first, host, long = f"GET {COUNT} HTTP/1.1", "Host: localhost", "x" * MIB
    assert _sent(door, first, host, f"Authorization: Bearer {long}") in (0, 400)
    assert _sent(door, first, host, f"Cookie: __Host-nasos={long}") in (0, 400)
    assert _sent(door, f"GET /api/v1/message/ws?token={long} HTTP/1.1", host) in (0, 414)
    assert door.post("/auth/login", {"name": "ann", "password": long, "code": "1"}).status == 413
    assert door.bot.received == []
    assert door.stranger().edge.get(COUNT, Authorization=door.token(Role.VIEWER)).status == 200


def test_what_stands_twice_is_refused_or_nothing(door: FrontDoor) -> None:
    """Two credentials, hosts, lengths or framings; what nginx tells the gateway cannot be said by a client."""
    bearer, first = door.token(Role.VIEWER), f"GET {COUNT} HTTP/1.1"
    auth, host = f"Authorization: {bearer}", "Host: localhost"
    assert _sent(door, first, host, auth) == 200
    door.bot.received.clear()
    assert _sent(door, first, host, auth, auth) == 400
    assert _sent(door, first, host, auth, "Authorization: Bearer x") == 400
    assert _sent(door, first, host, host, auth) == 400
    assert _sent(door, "POST /api/v1/stopbuy HTTP/1.1", host, auth, "Content-Length: 0", "Content-Length: 5") == 400
    assert (
        _sent(door, "POST /api/v1/stopbuy HTTP/1.1", host, auth, "Content-Length: 0", "Transfer-Encoding: chunked")
        == 400
    )
    assert door.bot.received == []
    own = ("X-Nasos-Uri: /api/v1/count", "X-Nasos-Method: GET", "X-Nasos-Uri: /api/v1/ping")
    assert _sent(door, "POST /api/v1/stopbuy HTTP/1.1", host, auth, "Content-Length: 0", *own) == 403
    cookies = "Cookie: __Host-nasos=a", "Cookie: __Host-nasos=b"
    assert _sent(door, first, host, *cookies) == 401
    assert door.bot.received == []


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"]
)
def test_no_header_makes_another_request_of_it(door: FrontDoor, header: str) -> None:
    """Neither method nor path: a viewer who tries it is refused even what he may, and so is an admin."""
    for role, value in ((Role.VIEWER, "POST"), (Role.ADMIN, "/api/v1/ping")):
        assert door.edge.send("GET", COUNT, {"Authorization": door.token(role), header: value}).status == 403
    assert door.bot.received == []


def test_the_client_is_who_nginx_sees(door: FrontDoor) -> None:
    """What a client says of its address changes neither the record nor how long it waits."""
    claimed = ("X-Forwarded-For", "CF-Connecting-IP", "X-Real-IP", "True-Client-IP", "Forwarded")
    for number in range(6):
        said = {name.replace("-", "_"): f"203.0.113.{number}" for name in claimed}
        door.post("/auth/login", {"name": f"nobody-{number}", "password": "x", "code": "1"}, **said)
    seen = [event for event in door.events("gateway.login") if event["detail"].get("client") == door.edge.source]
    assert {event["detail"]["why"] for event in seen} == {"no such person", "too early"}
    assert "203.0.113." not in door.config.ledger.read_text()


def test_slow_clients_are_cut_and_keep_nobody_waiting(door: FrontDoor) -> None:
    """Heads and bodies that stop in the middle, from one address: others are served meanwhile, and each is ended."""
    bearer, slow = door.token(Role.VIEWER), door.stranger()
    with contextlib.ExitStack() as held:
        heads = [held.enter_context(slow.edge.connect()) for _ in range(40)]
        for line in heads:
            line.sendall(f"GET {COUNT} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".encode())
        bodies = [held.enter_context(slow.edge.connect()) for _ in range(80)]
        for line in bodies:
            line.sendall(b"POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        answers = dict.fromkeys((*heads, *bodies), b"")
        said: list[bytes] = []
        deadline = time.monotonic() + 3 * DEADLINE
        while answers:
            assert time.monotonic() < deadline
            over = [line for line in answers if _ended(line, answers)]
            said.extend(answers.pop(line)[9:12] for line in over)
            assert door.stranger().edge.get(COUNT, Authorization=bearer).status == 200
            time.sleep(0.3)
    assert set(said) <= {b"", b"408", b"429"}
    assert said.count(b"429") >= len(bodies) - 64


def _ended(line: ssl.SSLSocket, answers: dict[ssl.SSLSocket, bytes]) -> bool:
    """Whether the other side has hung up; what it said before is kept."""
    try:
        while line.pending() or select.select([line], [], [], 0)[0]:
            if not (came := line.recv(4096)):
                return True
            answers[line] += came
    except OSError:
        return True
    return False


def test_a_gateway_without_vault_lets_nobody_in_and_says_so(door: FrontDoor) -> None:
    """Started while Vault is away: page, data and login are 503 in words, health is not well; back, all is well."""
    bearer = door.token(Role.ADMIN)
    door.kill()
    away = structs.replace(door.config, vault=f"https://127.0.0.1:{free_port()}")
    replace(door, config=away).start_only()
    try:
        answer = door.until(lambda: _closed(door.edge.get(COUNT, Authorization=bearer)))
        assert "does not answer" in answer["error"] or "cannot be let in" in answer["error"]
        assert "moment" in json.loads(door.try_in("ann", "x", "1").body)["error"]
        assert door.edge.get("/").status == 200  # the page that says it
        assert door.bot.received == []
    finally:
        door.kill()
        door.start()
    assert door.edge.get(COUNT, Authorization=bearer).status == 200


def _closed(answer: Answer) -> dict[str, str] | None:
    return json.loads(answer.body) if answer.status == 503 else None


@pytest.mark.parametrize("damage", ["corrupt", "wrong key"])
def test_a_certificate_that_cannot_be_used_stops_the_gateway_in_words(
    door: FrontDoor, damage: str, tmp_path: Path
) -> None:
    """No listener under a wrong certificate, no traceback, no key in the message."""
    tls = tmp_path / "tls"
    private_directory(tls)
    for file in door.config.tls.iterdir():
        if file.is_file():
            (tls / file.name).write_bytes(file.read_bytes())
            (tls / file.name).chmod(file.stat().st_mode & 0o777)
    key = STRANGER.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if damage == "corrupt":
        (tls / "gateway.pem").write_text((tls / "gateway.pem").read_text().replace("M", "#", 5))
    else:
        (tls / "gateway.key").write_bytes(key)
    config = structs.replace(door.config, tls=tls, port=free_port(), database=tmp_path / "sessions.db")
    command = [sys.executable, "-m", "nasos.gateway", config.encode()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE, check=False)
    assert done.returncode == 1
    assert "nasos: error: the gateway's certificate cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert "PRIVATE" not in done.stderr
