"""Every listener of the stack against Mozilla's intermediate profile 6.0, judged by sslyze; and by its clients' eyes.

Accepted: OpenBao also offers secp521r1. The list of groups is Go's own, and OpenBao has no setting for it; the group is
no weaker than the profile's.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest

from fixtures.edge import BINARIES, edge_config, running
from fixtures.postgres import PostgresUnderTest
from fixtures.vault import VaultUnderTest
from nasos.bot.inside.tls import context_of
from nasos.secret import Secret
from nasos.tls.dev_ca import DevCa
from simulators.bot_api import BotApi

with warnings.catch_warnings():  # the public bundle that it brings along has a root with the serial number 0
    warnings.simplefilter("ignore")
    import sslyze
    from sslyze.mozilla_tls_profile.tls_config_checker import (
        ServerNotCompliantWithTlsConfiguration,
        TlsConfigurationAsJson,
        check_server_against_tls_configuration,
    )

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
DEADLINE = 30.0
ACCEPTED = {"vault": {"tls_curves": "TLS curves {'secp521r1'} are supported, but should be rejected."}}


@dataclass(frozen=True)
class Listener:
    """Where something speaks TLS, and who signed its certificate."""

    port: int
    name: str
    ca: Path
    postgres: bool = False

    def connect(self, context: ssl.SSLContext, name: str) -> None:
        """Shake hands as a client of this one does."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as plain:
            if self.postgres:
                plain.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")  # SSLRequest
                assert plain.recv(1) == b"S"
            context.wrap_socket(plain, server_hostname=name).close()


def issues(listener: Listener) -> dict[str, str]:
    """What sslyze has against it."""
    text = (resources.files("nasos.tls") / "profiles" / "mozilla-6.0-intermediate.json").read_text()
    profile = TlsConfigurationAsJson.model_validate(json.loads(text)["configuration"])
    trusting = sslyze.CertificateInfoExtraArgument(custom_ca_file=listener.ca)
    starttls = sslyze.ProtocolWithOpportunisticTlsEnum.POSTGRES if listener.postgres else None
    request = sslyze.ServerScanRequest(
        server_location=sslyze.ServerNetworkLocation(listener.name, listener.port, "127.0.0.1"),
        network_configuration=sslyze.ServerNetworkConfiguration(
            tls_server_name_indication=listener.name, tls_opportunistic_encryption=starttls, network_timeout=60
        ),
        scan_commands_extra_arguments=sslyze.ScanCommandsExtraArguments(certificate_info=trusting),
    )
    scanner = sslyze.Scanner()
    scanner.queue_scans([request])
    [result] = scanner.get_results()
    try:
        check_server_against_tls_configuration(server_scan_result=result, tls_config_to_check_against=profile)
    except ServerNotCompliantWithTlsConfiguration as refused:
        return dict(refused.issues)
    return {}


@contextlib.contextmanager
def serving(context: ssl.SSLContext) -> Iterator[int]:
    """A server that shakes hands, as often as it is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def one(plain: socket.socket) -> None:
            with contextlib.suppress(OSError), plain:
                plain.settimeout(DEADLINE)
                with context.wrap_socket(plain, server_side=True) as secured:
                    while secured.recv(4096):
                        secured.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(server.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)


def _nginx(request: pytest.FixtureRequest, kind: str) -> Listener:
    certificates: Path = request.getfixturevalue("certificates")
    opened: contextlib.ExitStack = request.getfixturevalue("opened")
    directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="edge-")))
    bot = opened.enter_context(BotApi(certificates))
    config = edge_config(certificates, directory, bot.port)
    opened.enter_context(running(BINARIES[kind](), config))
    return Listener(config.port, "localhost", certificates / "ca.pem")


def _vault(request: pytest.FixtureRequest) -> Listener:
    vault: VaultUnderTest = request.getfixturevalue("vault")
    # Its certificate in the tests is for the address alone.
    return Listener(vault.server.port, "127.0.0.1", vault.ca_file)


def _postgres(request: pytest.FixtureRequest) -> Listener:
    postgres: PostgresUnderTest = request.getfixturevalue("postgres")
    return Listener(postgres.server.port, "localhost", postgres.server.ca_file, postgres=True)


def _bot(request: pytest.FixtureRequest) -> Listener:
    place: Path = request.getfixturevalue("certificates")
    pem = Secret((place / "bot.key").read_text() + (place / "bot.pem").read_text())
    port = request.getfixturevalue("opened").enter_context(serving(context_of(pem)))
    return Listener(port, "bot.localhost", place / "ca.pem")


LISTENERS: dict[str, Callable[[pytest.FixtureRequest], Listener]] = {
    "nginx": lambda request: _nginx(request, "wheel"), "system's nginx": lambda request: _nginx(request, "system"),
    "vault": _vault, "postgres": _postgres, "bot": _bot,
}  # fmt: skip


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """What ends with the test."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", LISTENERS)
def test_a_listener_is_as_mozilla_wants_it(request: pytest.FixtureRequest, name: str) -> None:
    """Intermediate 6.0: protocols, ciphers, groups, certificate, known weaknesses."""
    assert issues(LISTENERS[name](request)) == ACCEPTED.get(name, {})


def test_the_judge_can_say_no(certificates: Path) -> None:
    """OpenSSL's usual server is refused for its ciphers and groups: sslyze looks at what the other test is about."""
    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    usual.load_cert_chain(certificates / "bot.pem", certificates / "bot.key")
    usual.set_ciphers("ECDHE+AESGCM:ECDHE+AES")
    with serving(usual) as port:
        found = issues(Listener(port, "bot.localhost", certificates / "ca.pem"))
    assert {"ciphers", "tls_curves"} <= set(found)


@pytest.mark.parametrize("name", LISTENERS)
def test_a_listener_is_taken_for_itself_only(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    """Under its name and by its CA; not under another name, not by another CA, not without any."""
    listener = LISTENERS[name](request)
    strict = ssl.create_default_context(cafile=str(listener.ca))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    listener.connect(strict, listener.name)
    other = DevCa.open(tmp_path, now=datetime.now(UTC))
    foreign = ssl.create_default_context(cafile=str(other.path))
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context, asked in ((strict, "evil.localhost"), (foreign, listener.name), (nobody, listener.name)):
        with pytest.raises(ssl.SSLError):
            listener.connect(context, asked)
