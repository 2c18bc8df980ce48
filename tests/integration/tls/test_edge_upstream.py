"""nginx passes a request on to the bot only, and knows it by its certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.edge import Edge, edge_config, running
from nasos.tls import issue_all
from simulators.bot_api import ACCESS_TOKEN, BotApi

SECRET = {"Authorization": f"Bearer {ACCESS_TOKEN}"}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Certificates of another development CA, for the same names."""
    directory = tmp_path / "foreign"
    directory.mkdir()
    issue_all(directory, ["localhost"], now=datetime.now(UTC))
    return directory


def asked(binary: Path, certificates: Path, directory: Path, bot: BotApi) -> tuple[int, list[str]]:
    """The edge's answer to a request with a token, and what reached the bot."""
    directory.mkdir()
    config = edge_config(certificates, directory, bot.port)
    with running(binary, config):
        status = Edge(config, binary, bot, certificates / "ca.pem").send("GET", "/api/v1/balance", SECRET).status
    return status, [one.target for one in bot.received]


def test_the_bot_is_known_by_its_certificate(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """Our CA, and the name that only the bot has: the request reaches it."""
    with BotApi(certificates) as bot:
        assert asked(binary, certificates, tmp_path / "nginx", bot) == (200, ["/api/v1/balance"])


def test_another_ca_is_refused(binary: Path, certificates: Path, foreign: Path, tmp_path: Path) -> None:
    """Whoever listens on the bot's port with a certificate of another CA gets no token; the client is told 503."""
    with BotApi(foreign) as bot:
        assert asked(binary, certificates, tmp_path / "nginx", bot) == (503, [])
    assert '"upstream":"502"' in (tmp_path / "nginx/access.log").read_text()


@pytest.mark.parametrize("service", ["vault", "postgres", "edge"])
def test_another_service_of_our_ca_is_refused(binary: Path, certificates: Path, tmp_path: Path, service: str) -> None:
    """A key stolen from one service does not make its thief the bot."""
    with BotApi(certificates, service=service) as bot:
        assert asked(binary, certificates, tmp_path / "nginx", bot) == (503, [])


def test_plain_http_is_refused(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """A bot without TLS hears nothing."""
    with BotApi() as bot:
        assert asked(binary, certificates, tmp_path / "nginx", bot) == (503, [])
