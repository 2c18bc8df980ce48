"""Probes against real listeners: each way of not being well is told in words, and nothing else is called healthy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.postgres import PostgresUnderTest
from fixtures.vault import Server, VaultUnderTest, free_port
from nasos.bot.api import NAME
from nasos.errors import ProgramFailed
from nasos.secret import Secret
from nasos.stack import health
from nasos.tls.dev_ca import DevCa
from nasos.tls.leaf import ensure_leaf
from nasos.vault import VaultClient

Listen = Callable[..., int]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Listeners that answer every connection with given bytes (None: never); with TLS where a context is given."""
    opened: list[socket.socket] = []

    def start(answer: bytes | None, tls: ssl.SSLContext | None = None) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        opened.append(server)

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    peer = tls.wrap_socket(connection, server_side=True) if tls else connection
                except ssl.SSLError:
                    continue
                except OSError:
                    return
                opened.append(peer)
                if answer is not None:
                    with suppress(OSError):  # it hung up first
                        peer.recv(1 << 16)
                        peer.sendall(answer)
                        peer.shutdown(socket.SHUT_RDWR)
                    peer.close()

        threading.Thread(target=serve, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for one in opened:
        one.close()


def _context(place: Path, name: str = "localhost") -> ssl.SSLContext:
    now = datetime.now(UTC)
    leaf = ensure_leaf(DevCa.open(place, now=now), place, name, (name,), now=now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.cert, leaf.key)
    return context


BotSays = Callable[[bytes | None], tuple[int, Path]]


@pytest.fixture
def bot_says(listen: Listen, tmp_path: Path) -> BotSays:
    """A bot's API that gives one answer to all: its port, and the CA of its certificate."""
    tls = _context(tmp_path, NAME)
    return lambda answer: (listen(answer, tls), tmp_path / "ca.pem")


def http(status: int, body: bytes = b"") -> bytes:
    """One answer."""
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


def seen(probe: health.Probe) -> str:
    """The evidence of a program that is not well."""
    found = health.look("x", probe)
    assert not found.healthy
    return found.evidence


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        (None, "no answer within"),
        (b"", "it closes the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what listens there does not speak HTTP"),
        (http(200, b"<html>"), "what answers there is not freqtrade"),
        (http(200, b'{"state": "stopped"}'), "what answers there is not freqtrade"),
        (http(200, b'{"state": "reload_config", "strategy": "x", "dry_run": true}'), "the bot is reload_config"),
        (http(401), "its API refuses the login that is in Vault (401)"),
        (http(500), "it answers, but not with what was asked for (500)"),
    ],
)
def test_each_failure_of_the_bot_is_told(
    bot_says: BotSays,
    monkeypatch: pytest.MonkeyPatch,
    answer: bytes | None,
    evidence: str,
) -> None:
    """Silence, a foreign service, another program's page, a wrong password; never the password."""
    monkeypatch.setattr(health, "REQUEST_SECONDS", 0.3)
    told = seen(health.bot(*bot_says(answer), "nasos", Secret("planted-password")))
    assert evidence in told
    assert "planted" not in told


def test_a_well_bot_says_what_it_does(bot_says: BotSays) -> None:
    """The twin: the same probe is satisfied by freqtrade's own answer, and real money is shouted."""
    shown = http(200, b'{"state": "running", "strategy": "Mine", "dry_run": false}')
    found = health.look("bot", health.bot(*bot_says(shown), "nasos", Secret("x")))
    assert found == health.Health("bot", healthy=True, evidence="running, Mine, REAL MONEY")


def test_a_bot_under_a_foreign_certificate_is_not_well_and_hears_no_password(
    listen: Listen, bot_says: BotSays, tmp_path: Path
) -> None:
    """Another CA, another service of the same CA, no TLS at all; the twin is the test above."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shown = http(200, b'{"state": "running", "strategy": "Mine", "dry_run": true}')
    _, ca_file = bot_says(shown)

    def told(tls: ssl.SSLContext | None) -> str:
        return seen(health.bot(listen(shown, tls), ca_file, "nasos", Secret("x")))

    assert "its certificate is refused" in told(_context(other, NAME))
    assert "its certificate is refused: Hostname mismatch" in told(_context(tmp_path, "localhost"))
    assert told(None) == "its TLS handshake fails"


def test_nothing_listens(bot_says: BotSays) -> None:
    """Of each program that is asked over a port."""
    port, (_, ca_file) = free_port(), bot_says(None)
    assert seen(health.bot(port, ca_file, "nasos", Secret("x"))) == "nothing listens there"
    assert seen(health.exchange(port)) == "nothing listens there"
    assert not health.bot_answers(port, ca_file)


def test_a_bot_that_answers_is_told_from_one_that_does_not(bot_says: BotSays) -> None:
    """For the time while Vault is sealed: freqtrade's own pong, and nobody else's page."""
    assert health.bot_answers(*bot_says(http(200, b'{"status":"pong"}')))
    assert not health.bot_answers(*bot_says(http(200, b"hello")))
    assert not health.bot_answers(*bot_says(http(503)))


def test_each_failure_of_the_edge_is_told(listen: Listen, tmp_path: Path) -> None:
    """Another CA, another name, plain text in place of TLS, no gateway behind it, and one that lets strangers in."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir(mode=0o700)
    tls, ca_file = _context(tmp_path / "mine"), tmp_path / "mine" / "ca.pem"
    _context(tmp_path / "other")
    well, behind, plain = listen(http(401), tls), listen(http(502), tls), listen(http(401))
    open_to_all = listen(http(200), tls)

    def edge(port: int, host: str = "localhost", ca: Path = ca_file) -> health.Probe:
        return health.edge(port, "127.0.0.1", host, ca)

    assert health.look("nginx", edge(well)).evidence == "https request to localhost, closed to strangers (401)"
    assert seen(edge(open_to_all)) == "it lets strangers in (200)"
    assert "its certificate is refused: " in seen(edge(well, ca=tmp_path / "other" / "ca.pem"))
    assert "its certificate is refused: Hostname mismatch" in seen(edge(well, "elsewhere.example"))
    assert seen(edge(behind)) == "nginx answers, but the gateway behind it does not (502)"
    assert seen(edge(plain)) == "its TLS handshake fails"
    assert seen(edge(free_port())) == "nothing listens there"


def test_each_failure_of_vault_is_told(vault: VaultUnderTest, new_server: Callable[..., Server]) -> None:
    """A good one, one that nobody answers for, one that is sealed, one without the marker."""
    with closing(VaultClient(vault.connection("operator"), prefix="nasos")) as good:
        assert "audited read of version" in health.look("vault", health.vault(good)).evidence
    dead = replace(vault.connection("operator"), address=f"https://127.0.0.1:{free_port()}")
    with closing(VaultClient(dead, prefix="nasos")) as client:
        assert "cannot be reached" in seen(health.vault(client)) or "refused" in seen(health.vault(client))
    server = new_server(shamir=True)
    server.bootstrap()
    server.stop()
    server.start()
    with closing(VaultClient(server.connection("operator"), prefix="nasos")) as client:
        found = health.look("vault", health.vault(client))
    assert "sealed" in found.evidence
    assert found.hint == "nasos vault unseal"


def test_each_failure_of_the_database_is_told(postgres: PostgresUnderTest) -> None:
    """A good login, a wrong password, nobody there."""
    assert health.look("postgres", health.postgres(postgres.server, postgres.login)).evidence == "login as nasos_a"
    wrong = replace(postgres.login, password=Secret("planted-password"))
    assert "password authentication failed" in seen(health.postgres(postgres.server, wrong))
    gone = replace(postgres.server, port=free_port())
    assert "refused" in seen(health.postgres(gone, postgres.login)).lower()


class Watched:
    """A program that gives up when it is told to."""

    def __init__(self, gave_up: str | None, said: str | None) -> None:
        self._gave_up, self._said = gave_up, said

    def gave_up(self) -> str | None:
        """As told."""
        return self._gave_up

    def reason(self) -> str | None:
        """As told."""
        return self._said


def test_waiting_ends_when_there_is_no_point_in_it() -> None:
    """With why, and with what the program itself said."""

    def refused() -> str:
        raise ConnectionRefusedError

    with pytest.raises(ProgramFailed) as caught:
        health.wait("bot", refused, 60, Watched("it ended 2 times", "no such strategy"))
    assert caught.value.message == "bot did not become healthy: it ended 2 times; its log says: no such strategy"
    with pytest.raises(ProgramFailed, match=r"bot did not become healthy: nothing listens there$"):
        health.wait("bot", refused, 0.05, Watched(None, None))
