"""Who gets as far as a request: protocol versions, ciphers, names and certificates; and who does not."""

from __future__ import annotations

import os
import signal
import ssl
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.edge import Edge, edge_config, running
from nasos.tls import DevCa, issue_all
from simulators.bot_api import BotApi


def _speaking(version: ssl.TLSVersion, ciphers: str) -> ssl.SSLContext:
    """A client that speaks one version only, with ciphers of any age, and trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
        context.minimum_version = version
        context.maximum_version = version
    return context


def _shake_hands(client_context: ssl.SSLContext, server_context: ssl.SSLContext) -> str | None:
    """The version that the two agree on, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.version()


OLD = [
    pytest.param(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", id="tls-1.1"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0", id="cbc-cipher"),
    pytest.param(ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0", id="cbc-sha256-cipher"),
]


@pytest.mark.parametrize(("version", "ciphers"), OLD)
def test_old_protocol_is_refused(edge: Edge, version: ssl.TLSVersion, ciphers: str) -> None:
    """A client of the last decade gets no connection."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.connect(context=_speaking(version, ciphers))


@pytest.mark.parametrize(("version", "ciphers"), OLD)
def test_old_client_would_be_served_elsewhere(certificates: Path, version: ssl.TLSVersion, ciphers: str) -> None:
    """The negative twin: the same client reaches a lax server with the same certificate."""
    lax = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lax.load_cert_chain(certificates / "edge.pem", certificates / "edge.key")
    lax.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        lax.minimum_version = ssl.TLSVersion.TLSv1
    assert _shake_hands(_speaking(version, ciphers), lax) == version.name.replace("_", ".").replace("TLSv1.0", "TLSv1")


@pytest.mark.parametrize(
    ("version", "ciphers"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        (ssl.TLSVersion.TLSv1_3, "DEFAULT"),
    ],
)
def test_profile_protocol_is_served(edge: Edge, version: ssl.TLSVersion, ciphers: str) -> None:
    """What Mozilla's intermediate profile names is accepted."""
    with edge.connect(context=_speaking(version, ciphers)) as secure:
        assert secure.version() == version.name.replace("_", ".")


@pytest.mark.parametrize(("group", "served"), [("prime256v1", True), ("secp384r1", True), ("secp521r1", False)])
def test_groups_follow_the_profile(edge: Edge, group: str, *, served: bool) -> None:
    """Key exchange happens in the profile's groups and in no other."""
    context = _speaking(ssl.TLSVersion.TLSv1_3, "DEFAULT")
    context.set_ecdh_curve(group)
    if served:
        edge.connect(context=context).close()
    else:
        with pytest.raises(ssl.SSLError):
            edge.connect(context=context)


def test_strict_client_is_satisfied(edge: Edge) -> None:
    """A client with VERIFY_X509_STRICT accepts the certificate, by name and by address."""
    for name in ("localhost", "127.0.0.1"):
        edge.connect(name).close()


def test_unknown_name_is_refused_before_a_certificate_is_shown(edge: Edge) -> None:
    """Another server name ends in the alert "unrecognized name", even for a client that trusts anybody."""
    context = _speaking(ssl.TLSVersion.TLSv1_3, "DEFAULT")
    with pytest.raises(ssl.SSLError, match=r"UNRECOGNIZED_NAME|unrecognized name"):
        edge.connect("evil.example", context)


def test_foreign_host_header_is_misdirected(edge: Edge) -> None:
    """A request for another host inside a good connection gets 421, and the bot hears nothing of it."""
    answer = edge.get("/api/v1/ping", Host="evil.example")
    assert answer.status == 421
    assert not edge.bot.received


def test_other_ca_is_not_trusted(edge: Edge, tmp_path: Path) -> None:
    """A client that trusts another development CA refuses this edge."""
    other = DevCa.open(tmp_path, now=datetime.now(UTC))
    with pytest.raises(ssl.SSLCertVerificationError):
        edge.connect(context=ssl.create_default_context(cafile=str(other.path)))


def test_without_addresses_a_nameless_handshake_is_refused(binary: Path, certificates: Path, tmp_path: Path) -> None:
    """Where only names are served, a scanner that sends no name learns nothing; a named client is served."""
    with BotApi(certificates) as bot:
        config = edge_config(certificates, tmp_path, bot.port, hosts=("localhost",))
        with running(binary, config):
            edge = Edge(config, binary, bot, certificates / "ca.pem")
            edge.connect("localhost").close()
            with pytest.raises(ssl.SSLError):
                edge.connect(None, _speaking(ssl.TLSVersion.TLSv1_3, "DEFAULT"))


def test_reload_shows_the_new_certificate(binary: Path, tmp_path: Path) -> None:
    """After a renewal and SIGHUP, new connections see the new certificate."""
    tls, directory = tmp_path / "tls", tmp_path / "nginx"
    tls.mkdir()
    directory.mkdir()
    issue_all(tls, ["localhost"], now=datetime.now(UTC))
    with BotApi(tls) as bot:
        config = edge_config(tls, directory, bot.port)
        with running(binary, config) as pid:
            edge = Edge(config, binary, bot, tls / "ca.pem", pid)
            before = _shown(edge)
            told = {"nginx": lambda: os.kill(pid, signal.SIGHUP)}
            notify = [lambda program, _: told.get(program, lambda: None)()]
            issue_all(tls, ["localhost"], now=datetime.now(UTC), force=True, notify=notify)
            deadline = time.monotonic() + 15
            while _shown(edge) == before:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def _shown(edge: Edge) -> bytes | None:
    with edge.connect() as secure:
        return secure.getpeercert(binary_form=True)
