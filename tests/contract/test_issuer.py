"""Every issuer keeps the same promises: the development CA, and ACME at a real server, Cloudflare's Origin CA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from fixtures.cloudflare import direct
from fixtures.pebble import Pebble
from nasos.cloudflare.dns import zone_by_id
from nasos.errors import TlsError
from nasos.stack.origin.issuer import OriginCa
from nasos.tls import DevCa, Issuer, names
from nasos.tls.certificate import names_of, new_key, request
from nasos.tls.chain import Chain, judge, read_roots
from simulators.cloudflare import Cloudflare

HOSTS = ("bot.home.arpa", "edge.bot.home.arpa")


@dataclass(frozen=True)
class Known:
    """An issuer, and who its chains lead to."""

    issuer: Issuer
    roots: tuple[x509.Certificate, ...]


def _development(_request: pytest.FixtureRequest, place: Path) -> Known:
    ca = DevCa.open(place, now=datetime.now(UTC), hosts=["bot.home.arpa"])
    return Known(ca, (ca.certificate,))


def _pebble(request_: pytest.FixtureRequest, _place: Path) -> Known:
    pebble: Pebble = request_.getfixturevalue("pebble")
    return Known(pebble.issuer(), read_roots(pebble.roots_file))


def _origin_ca(_request: pytest.FixtureRequest, _place: Path) -> Known:
    simulated = Cloudflare()
    zone = simulated.add_zone("bot.home.arpa")
    client = direct(simulated)
    return Known(OriginCa(client, zone_by_id(client, zone.id)), (simulated.origin.root,))


MAKERS: dict[str, Callable[[pytest.FixtureRequest, Path], Known]] = {
    "development CA": _development, "ACME": _pebble, "Origin CA": _origin_ca
}  # fmt: skip


@pytest.fixture(params=MAKERS)
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Known:
    """One of each."""
    return MAKERS[request.param](request, tmp_path)


def test_a_chain_is_for_the_key_and_the_names_of_the_request(known: Known) -> None:
    """PEM, leaf first, without the root, good for a strict client now; each time another certificate."""
    serials = set()
    for _ in range(2):
        key, hosts = new_key(), names.hosts(HOSTS)
        pem = known.issuer.issue(request(key, "", hosts), now=datetime.now(UTC))
        chain = Chain.parse(pem)
        judge(chain, public_key=key.public_key(), hosts=hosts, roots=known.roots, now=datetime.now(UTC))
        assert sorted(names_of(chain.leaf)) == sorted(HOSTS)
        assert not set(known.roots) & {chain.leaf, *chain.intermediates}
        assert b"PRIVATE" not in pem
        serials.add(chain.leaf.serial_number)
        advice = known.issuer.advice(pem, now=datetime.now(UTC))
        assert advice is None or advice.start <= advice.end
    assert len(serials) == 2


@pytest.mark.parametrize(
    "csr", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"]
)
def test_what_is_no_request_is_refused(known: Known, csr: bytes) -> None:
    """By an error of ours."""
    with pytest.raises(TlsError, match="not a certificate request"):
        known.issuer.issue(csr, now=datetime.now(UTC))


def test_a_request_that_was_changed_is_refused(known: Known) -> None:
    """Its signature is its own key's."""
    pem = request(new_key(), "", names.hosts(HOSTS))
    lines = pem.splitlines()
    spoiled = lines[-2][:-6] + (b"AAAA" if lines[-2][-6:-2] != b"AAAA" else b"BBBB") + lines[-2][-2:]
    with pytest.raises(TlsError):
        known.issuer.issue(b"\n".join([*lines[:-2], spoiled, lines[-1]]), now=datetime.now(UTC))
