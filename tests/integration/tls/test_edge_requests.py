"""What a client may ask of the edge, and what the bot gets to see of it."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections import Counter
from pathlib import Path

import pytest

from fixtures.edge import Answer, Edge, edge_config, fresh_source, running
from nasos.tls.development import BOT
from simulators.bot_api import ACCESS_TOKEN, PASSWORD, USERNAME, BotApi

BASIC = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
WRONG = "Basic " + base64.b64encode(b"trader:guess").decode()
BEARER = f"Bearer {ACCESS_TOKEN}"
LOGIN = "/api/v1/token/login"

HEADERS = {
    "Strict-Transport-Security": "max-age=3600",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _hardened(answer: Answer) -> bool:
    policy = answer.headers.get_all("Content-Security-Policy") or []
    single = all(answer.headers.get_all(name) == [value] for name, value in HEADERS.items())
    return single and len(policy) == 1 and "default-src 'none'" in policy[0] and answer.headers["Server"] == "nginx"


def test_page_is_served(edge: Edge) -> None:
    """The status page and its parts are there, with their types."""
    kinds = {path: edge.get(path).headers["Content-Type"] for path in ("/", "/app.js", "/style.css", "/icon.svg")}
    assert kinds == {
        "/": "text/html; charset=utf-8",
        "/app.js": "text/javascript; charset=utf-8",
        "/style.css": "text/css; charset=utf-8",
        "/icon.svg": "image/svg+xml",
    }


def test_health_is_nginx_own(edge: Edge) -> None:
    """``/healthz`` is 204 without the bot being asked."""
    assert edge.get("/healthz").status == 204
    assert not edge.bot.received


def test_login_and_bearer_reach_the_bot(edge: Edge) -> None:
    """A right password at the login address gives a token, and the token opens the API."""
    login = edge.send("POST", LOGIN, {"Authorization": BASIC})
    assert (login.status, json.loads(login.body)["access_token"]) == (200, ACCESS_TOKEN)
    assert edge.get("/api/v1/balance", Authorization=BEARER).status == 200
    assert edge.get("/api/v1/balance").status == 401


@pytest.mark.parametrize("authorization", [BASIC, BASIC.replace("Basic", "bAsIc"), "Basic", "Digest x", "Bearerx y"])
@pytest.mark.parametrize(
    "target",
    ["/api/v1/balance", "/api/v1/token/refresh", "/api/v1/token/login/", "//api/v1/balance", "/api/v1/%62alance",
     "/api/v1/token/login/../../balance", "/api/v1/message/ws"],
)  # fmt: skip
def test_password_is_refused_outside_login(edge: Edge, target: str, authorization: str) -> None:
    """A password, however spelt, is refused at every address but the login, where the bot alone would accept it."""
    answer = edge.get(target, Authorization=authorization)
    assert answer.status == 403
    assert "bearer" in json.loads(answer.body)["error"]
    assert not edge.bot.received


def test_the_bot_itself_would_accept_the_password(edge: Edge) -> None:
    """The negative twin: without nginx, the password opens every address."""
    trust = ssl.create_default_context(cafile=str(edge.ca))
    with (
        socket.create_connection(("127.0.0.1", edge.bot.port), timeout=10) as plain,
        trust.wrap_socket(plain, server_hostname=BOT) as secured,
    ):
        secured.sendall(
            f"GET /api/v1/balance HTTP/1.1\r\nHost: x\r\nAuthorization: {BASIC}\r\nConnection: close\r\n\r\n".encode()
        )
        assert secured.recv(15) == b"HTTP/1.1 200 OK"


def test_two_credentials_are_refused(edge: Edge) -> None:
    """A password hidden behind a token in a second header does not get through."""
    with edge.connect() as secure:
        secure.sendall(
            f"GET /api/v1/balance HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BEARER}\r\n"
            f"Authorization: {BASIC}\r\nConnection: close\r\n\r\n".encode()
        )
        assert secure.recv(12) == b"HTTP/1.1 400"
    assert not edge.bot.received


def test_guessing_passwords_is_slowed(edge: Edge) -> None:
    """Of 30 wrong passwords in a row at most 6 are tried, the rest is 429 with a time to wait; others may log in."""
    answers = [edge.send("POST", LOGIN, {"Authorization": WRONG}) for _ in range(30)]
    seen = Counter(answer.status for answer in answers)
    assert seen[401] <= 6
    assert seen[429] >= 24
    assert answers[-1].headers["Retry-After"] == "10"
    assert "too many" in json.loads(answers[-1].body)["error"]
    edge.source = fresh_source()
    assert edge.send("POST", LOGIN, {"Authorization": BASIC}).status == 200


def test_another_forwarded_address_does_not_reset_the_limit(edge: Edge) -> None:
    """Pretending to be somebody else with each guess changes nothing."""
    seen = Counter(
        edge.send("POST", LOGIN, {"Authorization": WRONG, "X-Forwarded-For": f"10.0.0.{n}", "X-Real-IP": f"10.1.0.{n}"})
        .status
        for n in range(12)
    )  # fmt: skip
    assert seen[429] >= 6


def test_ipv6_clients_are_counted_by_their_64(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """Guessing from another address of the same /64 is the same client; another /64 is another."""
    with BotApi(certificates) as bot:
        config = edge_config(certificates, tmp_path, bot.port)
        trust = "http {\n    set_real_ip_from 127.0.0.0/8;\n    real_ip_header X-Test-Client;"
        with running(binary, config, lambda text: text.replace("http {", trust, 1)):
            edge = Edge(config, binary, bot, certificates / "ca.pem")

            def guess(address: str) -> int:
                return edge.send("POST", LOGIN, {"Authorization": WRONG, "X-Test-Client": address}).status

            assert [guess(f"2001:db8:1:2::{n:x}:1") for n in range(1, 9)][5:] == [429] * 3
            assert guess("2001:db8:1:3::1") == 401


def test_client_addresses_are_ours(edge: Edge) -> None:
    """What a client says about its address, host and scheme is overwritten before the bot sees it."""
    edge.send(
        "GET",
        "/api/v1/ping",
        {
            "X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil", "Forwarded": "for=203.0.113.9",
            "X-Forwarded-Port": "1", "Proxy": "http://evil.example",
        },
    )  # fmt: skip
    seen = edge.bot.received[-1].headers
    assert (seen["x-forwarded-for"], seen["x-real-ip"]) == (edge.source, edge.source)
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("https", "localhost")
    assert seen["x-forwarded-port"] == str(edge.port)
    assert not {"forwarded", "x-forwarded-prefix", "proxy", "upgrade"} & set(seen)


def test_every_answer_is_hardened(edge: Edge) -> None:
    """The security headers stand once on every answer, whoever made it: page, bot, or an error of nginx."""
    edge.bot.answers["/api/v1/broken"] = (500, {"error": "x"})
    edge.bot.answers["/api/v1/trader"] = (502, {"error": "trader is not running"})
    asked = {
        200: edge.get("/"),
        204: edge.get("/healthz"),
        401: edge.get("/api/v1/balance"),
        403: edge.get("/api/v1/balance", Authorization=BASIC),
        404: edge.get("/nowhere"),
        405: edge.send("PUT", "/"),
        413: edge.send("POST", "/api/v1/x", body=b"x" * (1 << 20 | 1)),
        421: edge.get("/", Host="evil.example"),
        500: edge.get("/api/v1/broken"),
        502: edge.get("/api/v1/trader"),
    }
    assert {code: (answer.status, _hardened(answer)) for code, answer in asked.items()} == {
        code: (code, True) for code in asked
    }


def test_the_bots_own_errors_pass_through(edge: Edge) -> None:
    """freqtrade says 502 for "trader is not running": its words arrive, not ours."""
    edge.bot.answers["/api/v1/trader"] = (502, {"error": "trader is not running"})
    assert json.loads(edge.get("/api/v1/trader").body) == {"error": "trader is not running"}


def test_big_body_is_refused(edge: Edge) -> None:
    """More than 1 MiB is 413 (at the login already 4 KiB) and never reaches the bot; 1 MiB passes."""
    assert edge.send("POST", "/api/v1/x", {"Authorization": BEARER}, b"x" * (1 << 20 | 1)).status == 413
    assert edge.send("POST", LOGIN, {"Authorization": BASIC}, b"x" * 5000).status == 413
    assert not edge.bot.received
    assert edge.send("POST", "/api/v1/balance", {"Authorization": BEARER}, b"x" * (1 << 20)).status == 200


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(edge: Edge, method: str) -> None:
    """Methods that the API does not have end at the edge."""
    assert edge.send(method, "/api/v1/balance", {"Authorization": BEARER}).status == 405
    assert not edge.bot.received


def test_login_takes_post_only(edge: Edge) -> None:
    """Nothing but POST is a login."""
    assert edge.get(LOGIN, Authorization=BASIC).status == 405


@pytest.mark.parametrize("target", ["/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/OpenAPI.json"])
def test_api_documentation_is_hidden(edge: Edge, target: str) -> None:
    """freqtrade serves its API's description without a login, always; the edge does not."""
    assert edge.get(target).status == 404
    assert not edge.bot.received


def test_files_outside_the_page_are_not_served(edge: Edge) -> None:
    """No spelling of ".." leaves the page's directory."""
    for target in ("/../stack/home.py", "/%2e%2e/home.py", "/..%2fhome.py", "/error.html"):
        assert edge.get(target).status in (400, 404)


def test_dialogue_of_the_browser_is_not_asked_for(edge: Edge) -> None:
    """A wrong password is a plain 401: a "Basic" challenge would make browsers keep the password themselves."""
    answer = edge.send("POST", LOGIN, {"Authorization": WRONG})
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, None)


def _plain(edge: Edge, request: str) -> str:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as plain:
        plain.sendall(request.encode())
        return b"".join(iter(lambda: plain.recv(4096), b"")).decode()


def test_plain_http_is_sent_on(edge: Edge) -> None:
    """A page asked for over http moves to https, without HSTS on the readable answer (RFC 6797 7.2)."""
    answer = _plain(edge, "GET /x?y=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith("HTTP/1.1 301")
    assert f"Location: https://localhost:{edge.port}/x?y=1\r\n" in answer
    assert "Strict-Transport-Security" not in answer


def test_plain_http_at_the_api_is_told_what_happened(edge: Edge) -> None:
    """A credential sent over http is not quietly forgiven by a redirect."""
    answer = _plain(edge, f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC}\r\n\r\n")
    assert answer.startswith("HTTP/1.1 400")
    assert "could be read on the way" in answer
    assert not edge.bot.received


def test_plain_http_for_another_host_is_not_redirected(edge: Edge) -> None:
    """The redirect cannot be aimed at somebody else's host."""
    assert "Location" not in _plain(edge, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")


def test_http2_is_spoken(edge: Edge) -> None:
    """Browsers get HTTP/2."""
    context = edge.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with edge.connect(context=context) as secure:
        assert secure.selected_alpn_protocol() == "h2"


def test_bot_down_is_said_plainly(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """Without the bot the API answers 503 in JSON, hardened, and the page is still there to say so."""
    with BotApi(certificates) as gone:
        port = gone.port
    config = edge_config(certificates, tmp_path, port)
    with running(binary, config):
        edge = Edge(config, binary, gone, certificates / "ca.pem")
        answer = edge.get("/api/v1/ping")
        assert (answer.status, json.loads(answer.body)) == (503, {"error": "the bot does not answer"})
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Retry-After"] == "5"
        assert _hardened(answer)
        assert edge.send("POST", LOGIN, {"Authorization": BASIC}).status == 503
        assert edge.get("/").status == 200


def test_frequi_is_passed_through(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """With FreqUI, pages come from the bot, its API description stays hidden, and a password is refused there too."""
    with BotApi(certificates) as bot:
        bot.answers["/assets/x.js"] = (200, {})
        config = edge_config(certificates, tmp_path, bot.port, frequi=True)
        with running(binary, config):
            edge = Edge(config, binary, bot, certificates / "ca.pem")
            answer = edge.get("/assets/x.js")
            assert answer.status == 200
            assert "script-src 'self';" in answer.headers["Content-Security-Policy"]
            assert edge.get("/openapi.json").status == 404
            assert edge.get("/trade", Authorization=BASIC).status == 403
        bot_port = bot.port
    config = edge_config(certificates, tmp_path, bot_port, frequi=True)
    with running(binary, config):
        down = Edge(config, binary, bot, certificates / "ca.pem").get("/trade")
        assert (down.status, down.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert _hardened(down)


def test_slow_handshakes_do_not_block_others(edge: Edge) -> None:
    """Connections that never finish their handshake leave room for those that do."""
    idle = [socket.create_connection(("127.0.0.1", edge.port), timeout=10) for _ in range(50)]
    try:
        assert edge.get("/healthz").status == 204
    finally:
        for connection in idle:
            connection.close()
