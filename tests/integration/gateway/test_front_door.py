"""Who comes in by the front door, what the bot sees of it, and what stays closed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import ssl
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.front_door import KEY, PHRASE, FrontDoor
from nasos.gateway.access import Role
from nasos.gateway.sessions import Sessions
from nasos.secret import Secret
from nasos.vault import people

COUNT = "/api/v1/count"


def _claims(token: str) -> dict[str, object]:
    """What freqtrade would read from its token; a signature by another key fails."""
    head, body, signature = token.removeprefix("Bearer ").split(".")
    digest = hmac.digest(KEY.encode(), f"{head}.{body}".encode(), hashlib.sha256)
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == signature
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(body + "=="))
    return claims


def test_every_wrong_way_in_gets_the_same_answer(door: FrontDoor) -> None:
    """Unknown, wrong password, wrong or used code, somebody without a second factor: one answer, byte for byte."""
    factor = door.add("ann")
    people.add(*door.authority, "bare", Secret(PHRASE), rights=people.Rights.VIEWER, cidrs=None)
    code = door.code("ann", factor)
    assert door.try_in("ann", PHRASE, code).status == 200
    tries = [("ann", PHRASE, code), ("ann", "wrong words", code), ("nobody", PHRASE, code), ("bare", PHRASE, "1"),
             ("Not A Name", PHRASE, code), ("ann", PHRASE, "")]  # fmt: skip
    answers = [door.stranger().try_in(*each) for each in tries]
    assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
    assert not [answer for answer in answers if answer.headers.get_all("set-cookie")]
    told = {event["detail"]["why"] for event in door.events("gateway.login") if event["outcome"] == "refused"}
    missing = "no second factor: nasos gateway user totp"
    assert told == {"code used before", "password", "no such person", missing, "code"}
    assert PHRASE not in door.config.ledger.read_text()


def test_cookies_are_what_no_script_reads_and_no_other_page_sends(door: FrontDoor) -> None:
    """__Host-, HttpOnly, Secure, SameSite=Strict; another page's request changes nothing."""
    factor = door.add("bea", Role.TRADER)
    lines = door.try_in("bea", PHRASE, door.code("bea", factor)).headers.get_all("set-cookie", [])
    assert len(lines) == 2
    for line in lines:
        parts = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/"} <= parts
        assert line.startswith("__Host-")
        assert not [part for part in parts if part.startswith("domain")]
    cookie = "; ".join(line.split(";")[0] for line in lines)
    own = f"https://localhost:{door.edge.port}"
    assert door.edge.get(COUNT, Cookie=cookie).status == 200
    door.bot.answers["/api/v1/stopbuy"] = (200, {"status": "ok"})
    for origin, status in (("https://evil.example", 403), ("null", 403), (own, 200)):
        assert door.post("/api/v1/stopbuy", Cookie=cookie, Origin=origin).status == status
    assert door.post("/api/v1/stopbuy", Cookie=cookie, Sec_Fetch_Site="cross-site").status == 403
    assert door.post("/auth/refresh", Cookie=cookie, Origin="https://evil.example").status == 403
    assert [each.target for each in door.bot.received].count("/api/v1/stopbuy") == 1


def test_the_bot_gets_a_token_of_a_minute_and_nothing_of_the_client(door: FrontDoor) -> None:
    """Whatever a client sends: the bot sees the minted token, no cookie; nobody else sees it, nor any log."""
    bearer = door.token(Role.VIEWER)
    answer = door.edge.get(COUNT, Authorization=bearer, Cookie="__Host-nasos=x", X_Nasos_Minted="Bearer forged")
    assert answer.status == 200
    [seen] = door.bot.received
    claims = _claims(seen.headers["authorization"])
    assert claims["identity"] == {"u": "nasos"}
    assert claims["type"] == "access"
    issued, ends = claims["iat"], claims["exp"]
    assert isinstance(issued, int)
    assert isinstance(ends, int)
    assert ends - issued <= 60
    assert abs(issued - time.time()) < 60
    assert "cookie" not in seen.headers
    minted = seen.headers["authorization"].removeprefix("Bearer ")
    shown = str(answer.headers) + answer.body.decode() + door.edge.logs() + door.config.ledger.read_text()
    assert minted not in shown
    assert bearer.removeprefix("Bearer ") not in shown


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer a.b.c"}, {"Cookie": "__Host-nasos=a.b.c"},
     {"Cookie": "__Host-nasos=a; __Host-nasos=b"}, {"Cookie": "=;;=;__Host-nasos"}, {"X-Nasos-Minted": "Bearer x"},
     {"X-Real-IP": "127.0.0.1"}, {"Authorization": "Bearer " + "x" * 6000}],
)  # fmt: skip
def test_who_shows_nothing_that_counts_stays_outside(door: FrontDoor, headers: dict[str, str]) -> None:
    """401 in words, and the bot hears nothing of it."""
    answer = door.edge.send("GET", COUNT, headers)
    assert (answer.status, json.loads(answer.body)) == (401, {"error": "log in first, at /auth/"})
    assert door.bot.received == []


@pytest.mark.parametrize(
    "target",
    ["/api/v1/forceexit", "//api/v1/count", "/api/v1/..;/count", "/api/v1/%63ount", "/api/v1/count/", "/api/v1/nowhere",
     "/api/v1/trades/../count", "/api/v1/count%2f", "/api/v1/token/refresh/"],
)  # fmt: skip
def test_a_role_is_held_to_what_was_sent(door: FrontDoor, target: str) -> None:
    """Trading, unknown and oddly written addresses are refused to a viewer before the bot hears of them."""
    bearer = door.token(Role.VIEWER)
    assert door.edge.send("GET", target, {"Authorization": bearer}).status in (400, 401, 403)
    assert door.post(target, Authorization=bearer).status in (400, 401, 403)
    assert door.bot.received == []


def test_the_gateways_own_addresses_are_not_there_from_outside(door: FrontDoor) -> None:
    """What nginx asks, and what health asks, is no business of clients."""
    for target in ("/auth/decide", "/auth/health"):
        assert door.edge.get(target, Authorization=door.token(Role.ADMIN)).status == 404


def test_a_session_goes_on_and_ends_at_once(door: FrontDoor) -> None:
    """Renewed by its cookie; FreqUI's login answers whoever is in; after logout everywhere nothing of it counts."""
    factor = door.add("cleo", Role.VIEWER)
    cookie = door.come_in("cleo", factor)
    assert json.loads(door.edge.get("/auth/me", Cookie=cookie).body)["role"] == "viewer"
    renewed = door.post("/auth/refresh", Cookie=cookie)
    assert renewed.status == 200
    fresh = "; ".join(line.split(";")[0] for line in renewed.headers.get_all("set-cookie", []))
    answer = door.post("/api/v1/token/login", Cookie=fresh, Authorization="Basic eDp5")
    token = json.loads(answer.body)["access_token"]
    assert json.loads(answer.body)["refresh_token"] not in fresh
    assert door.edge.get(COUNT, Authorization=f"Bearer {token}").status == 200
    assert door.post("/auth/logout-everywhere", Cookie=fresh).status == 200
    for said in ({"Authorization": f"Bearer {token}"}, {"Cookie": fresh}, {"Cookie": cookie}):
        assert door.edge.send("GET", COUNT, said).status == 401
    assert door.post("/auth/refresh", Cookie=fresh).status == 401
    assert door.post("/api/v1/token/refresh", Cookie=fresh, Authorization="Bearer x").status == 401


def test_a_refresh_token_that_comes_back_ends_the_session(door: FrontDoor) -> None:
    """Used by somebody else after its renewal: both lose the session, and the ledger says so."""
    cookie = door.come_in("dora", door.add("dora"))
    renewed = door.post("/auth/refresh", Cookie=cookie)
    fresh = "; ".join(line.split(";")[0] for line in renewed.headers.get_all("set-cookie", []))
    assert door.stranger().post("/auth/refresh", Cookie=cookie, User_Agent="thief").status == 401
    assert door.edge.get(COUNT, Cookie=fresh).status == 401
    assert [event["actor"] for event in door.events("gateway.reuse")] == ["dora"]


def test_another_role_in_vault_ends_the_session(door: FrontDoor) -> None:
    """Rights are looked up each time that a session goes on."""
    cookie = door.come_in("eva", door.add("eva", Role.ADMIN))
    people.set_rights(*door.authority, "eva", people.Rights.VIEWER)
    assert door.post("/auth/refresh", Cookie=cookie).status == 401
    assert door.edge.get(COUNT, Cookie=cookie).status == 401


def test_nobody_but_nginx_is_listened_to(door: FrontDoor) -> None:
    """Without a certificate, or with another service's of the same CA: no answer."""
    for service in (None, "bot", "edge", "gateway"):
        context = ssl.create_default_context(cafile=str(door.config.tls / "ca.pem"))
        if service:
            context.load_cert_chain(door.config.tls / f"{service}.pem", door.config.tls / f"{service}.key")
        with pytest.raises((OSError, AssertionError)):
            assert _asked(door.config.port, context)
    context = ssl.create_default_context(cafile=str(door.config.tls / "ca.pem"))
    context.load_cert_chain(door.config.tls / "nginx.pem", door.config.tls / "nginx.key")
    assert _asked(door.config.port, context).startswith(b"HTTP/1.1 200")


def _asked(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="gateway.localhost") as line,
    ):
        line.sendall(b"GET /auth/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return line.recv(4096)


def test_a_dead_gateway_closes_the_door_in_words(door: FrontDoor) -> None:
    """Everything of the bot is 503 with a reason, whatever is shown; back again, what counted counts."""
    bearer = door.token(Role.ADMIN)
    door.kill()
    for target in (COUNT, "/auth/me", "/api/v1/message/ws"):
        answer = door.edge.get(target, Authorization=bearer)
        assert answer.status == 503
        assert "error" in json.loads(answer.body)
    assert door.bot.received == []
    door.start()
    assert door.edge.get(COUNT, Authorization=bearer).status == 200


def test_what_was_revoked_by_the_command_counts_no_more(door: FrontDoor) -> None:
    """Another process ends the session and the token; the gateway's next answer knows."""
    cookie = door.come_in("fay", door.add("fay"))
    assert door.edge.get(COUNT, Cookie=cookie).status == 200
    door.end_sessions("fay")
    assert door.edge.get(COUNT, Cookie=cookie).status == 401


def test_what_can_matter_no_more_is_forgotten(door: FrontDoor) -> None:
    """A session of last month goes when the gateway starts; one of today stays."""
    now = datetime.now(UTC)
    with closing(Sessions.open(door.config.database)) as sessions:
        old = sessions.start("old", Role.VIEWER, "x", now - timedelta(days=30))
        young = sessions.start("young", Role.VIEWER, "x", now)
    door.kill()
    door.start()

    def kept() -> set[str]:
        with closing(sqlite3.connect(door.config.database)) as file:
            return {sid for (sid,) in file.execute("SELECT sid FROM sessions")}

    door.until(lambda: old.sid not in kept())
    assert young.sid in kept()
