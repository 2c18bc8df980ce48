"""A visit by the public name: at the edge's own port where Cloudflare takes it, else at 443."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.edge import free_port
from nasos.errors import TlsError
from nasos.stack.origin import visit
from nasos.tls import issue_all
from simulators.cloudflare import Cloudflare
from simulators.cloudflare_edge import Front, visited

HERE = "127.98.7.6"
"""A host that is an address of this machine, and nobody else's."""


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A Cloudflare that answers there, and cannot reach its origin."""
    issue_all(tmp_path, [HERE], now=datetime.now(UTC))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    simulated, port = Cloudflare(), free_port()
    front = Front(simulated.add_zone("example.com"), simulated.origin.pem.decode(), ("127.0.0.1", free_port()), HERE)
    with visited(front, (HERE, port), tmp_path / "edge.pem", tmp_path / "edge.key"):
        yield port


def test_the_edges_own_port_is_asked_where_cloudflare_takes_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user's edge may not open 443. Cloudflare's word about the origin is told."""
    monkeypatch.setattr(visit, "PORTS", frozenset({443, port}))
    assert visit.reach(HERE, "/", port) == 520


@pytest.mark.usefixtures("port")
def test_another_port_is_not_asked(port: int) -> None:
    """Cloudflare would not take it: 443 is, where nobody listens."""
    with pytest.raises(TlsError, match="does not answer through Cloudflare") as error:
        visit.reach(HERE, "/", port)
    assert error.value.hint is not None
    assert "proxied record" in error.value.hint


def test_a_certificate_that_no_public_root_signed_is_no_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers under the public name is not Cloudflare."""
    monkeypatch.setattr(visit, "PORTS", frozenset({443, port}))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(TlsError, match="does not answer"):
        visit.reach(HERE, "/", port)
