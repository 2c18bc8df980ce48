"""The edge behind Cloudflare: its addresses and our client certificate let in, nothing else does."""

from __future__ import annotations

import http.client
import json
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.edge import DEADLINE, Answer, Edge, edge_config, running
from nasos.tls import pulls
from nasos.tls.nginx import Cloudflare
from nasos.tls.pulls import Pulling
from simulators.bot_api import BotApi

THERE = "127.0.77.{}"
"""Cloudflare's addresses in these tests."""
ELSEWHERE = "127.0.78.1"
VISITOR, OTHER = "203.0.113.9", "2001:db8:1::9"


@dataclass
class Front:
    """A running edge that stands behind Cloudflare, and what Cloudflare shows it."""

    edge: Edge
    shown: Pulling
    directory: Path
    lines: int = 0
    """Of the log, before the newest request."""

    def log(self) -> list[str]:
        """All lines."""
        path = self.edge.directory / "access.log"
        return path.read_text().splitlines() if path.exists() else []

    def client(self, pair: Pulling | None) -> ssl.SSLContext:
        """A client that shows this certificate."""
        context = self.edge.context()
        if pair is not None:
            path = self.directory / f"{abs(hash(pair.certificate))}.pem"
            path.write_bytes(pair.certificate + pair.key.reveal().encode())
            context.load_cert_chain(path)
        return context

    def get(self, source: str, pair: Pulling | None, path: str = "/", **headers: str) -> Answer | None:
        """One request from there; None: the connection was closed without an answer."""
        self.lines = len(self.log())
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with replace(self.edge, source=source).connect(context=self.client(pair)) as secure:
            connection = http.client.HTTPConnection("localhost", self.edge.port)
            connection.sock = secure
            try:
                connection.request("GET", path, headers=named)
                response = connection.getresponse()
                return Answer(response.status, response.headers, response.read())
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError):
                return None

    def last(self) -> dict[str, object]:
        """The newest line of the log; it is written after the answer."""
        deadline = time.monotonic() + DEADLINE
        while len(self.log()) <= self.lines:
            assert time.monotonic() < deadline, "nothing is logged"
            time.sleep(0.02)
        found: dict[str, object] = json.loads(self.log()[-1])
        return found


@pytest.fixture(scope="module")
def front(binary: Path, certificates: Path) -> Iterator[Front]:
    """Each nginx, with our certificate required."""
    shown = pulls.fresh(datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="edge-") as place, BotApi(certificates) as bot:
        directory = Path(place)
        (directory / "pulls.pem").write_bytes(shown.ca)
        directory.chmod(0o755)
        behind = Cloudflare((THERE.format("0/24"), "2400:cb00::/32"), directory / "pulls.pem", required=True)
        config = edge_config(certificates, directory, bot.port, cloudflare=behind)
        with running(binary, config) as pid:
            yield Front(Edge(config, binary, bot, certificates / "ca.pem", pid), shown, directory)


def test_cloudflare_with_our_certificate_is_let_in(front: Front) -> None:
    """And whom it speaks for is whom it names."""
    answer = front.get(THERE.format(1), front.shown, CF_Connecting_IP=VISITOR)
    assert answer is not None
    assert answer.status == 200
    assert (front.last()["client"], front.last()["peer"]) == (VISITOR, THERE.format(1))
    assert front.last()["pulled"] == "SUCCESS"


def test_without_our_certificate_cloudflare_is_a_stranger(front: Front) -> None:
    """Any customer of Cloudflare's comes from its addresses: no certificate, somebody else's, one by a foreign CA."""
    assert front.get(THERE.format(2), None, CF_Connecting_IP=VISITOR) is None
    foreign = front.get(THERE.format(3), pulls.fresh(datetime.now(UTC)))
    assert foreign is None or foreign.status == 400
    expired = pulls.fresh(datetime.now(UTC) - timedelta(days=800))
    refused = front.get(THERE.format(4), expired)
    assert refused is None or refused.status == 400


@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/ping", "/auth/", "/nowhere", "/error.html"])
def test_a_stranger_gets_no_answer_at_all(front: Front, path: str) -> None:
    """Whatever he asks for, with our certificate or without."""
    assert front.get(ELSEWHERE, None, path, CF_Connecting_IP="127.0.0.1", X_Forwarded_For=THERE.format(5)) is None
    assert front.get(ELSEWHERE, front.shown, path) is None


def test_a_strangers_word_about_himself_is_ignored(front: Front) -> None:
    """He stands in the log under his own address."""
    front.get(ELSEWHERE, None, CF_Connecting_IP=VISITOR, X_Forwarded_For=VISITOR, X_Real_IP=VISITOR)
    assert (front.last()["client"], front.last()["status"]) == (ELSEWHERE, 444)


def test_who_sits_at_the_machine_gets_in_under_his_own_address(front: Front) -> None:
    """Checks and health look from there; what is said about others counts for nothing."""
    answer = front.get("127.0.0.1", None, CF_Connecting_IP=VISITOR, X_Forwarded_For=VISITOR)
    assert answer is not None
    assert (answer.status, front.last()["client"]) == (200, "127.0.0.1")


def test_limits_are_the_visitors_and_not_cloudflares(front: Front) -> None:
    """Who tries too often is stopped at every address of Cloudflare's; another visitor at the same one is not."""
    login = "/api/v1/token/login"
    statuses = []
    for number in range(8):
        with replace(front.edge, source=THERE.format(10 + number)).connect(context=front.client(front.shown)) as secure:
            connection = http.client.HTTPConnection("localhost", front.edge.port)
            connection.sock = secure
            connection.request("POST", login, headers={"CF-Connecting-IP": VISITOR})
            statuses.append(connection.getresponse().status)
    assert 429 in statuses[5:]
    with replace(front.edge, source=THERE.format(17)).connect(context=front.client(front.shown)) as secure:
        connection = http.client.HTTPConnection("localhost", front.edge.port)
        connection.sock = secure
        connection.request("POST", login, headers={"CF-Connecting-IP": OTHER})
        assert connection.getresponse().status != 429


def test_hsts_from_here_does_not_run_ahead_of_cloudflares(front: Front) -> None:
    """It grows at Cloudflare."""
    answer = front.get(THERE.format(30), front.shown)
    assert answer is not None
    assert answer.headers["Strict-Transport-Security"] == "max-age=300"


def test_before_it_is_required_the_certificate_is_asked_for_and_told(binary: Path, certificates: Path) -> None:
    """Everybody gets in still, nobody's word about himself counts, and the log shows who had it."""
    shown = pulls.fresh(datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="edge-") as place, BotApi(certificates) as bot:
        directory = Path(place)
        (directory / "pulls.pem").write_bytes(shown.ca)
        directory.chmod(0o755)
        behind = Cloudflare((THERE.format("0/24"),), directory / "pulls.pem")
        config = edge_config(certificates, directory, bot.port, cloudflare=behind)
        with running(binary, config) as pid:
            front = Front(Edge(config, binary, bot, certificates / "ca.pem", pid), shown, directory)
            told = []
            for pair in (None, shown):
                assert front.get(THERE.format(1), pair) is not None
                told.append(front.last()["pulled"])
            assert told == ["NONE", "SUCCESS"]
            assert front.get(ELSEWHERE, None, CF_Connecting_IP=VISITOR) is not None
            assert front.last()["client"] == ELSEWHERE
