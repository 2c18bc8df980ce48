"""The running nginx, as what shows a certificate: asked whether it takes it, made to read it, shaken hands with."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from nasos.errors import TlsError
from nasos.settings import Settings
from nasos.stack.binaries import find
from nasos.stack.edge import write_configuration
from nasos.stack.home import Home, Record
from nasos.stack.supervisor import Supervisor
from nasos.tls import nginx
from nasos.tls.chain import Chain
from nasos.tls.pulls import Pulling
from nasos.tls.trust import edge_trust, public_roots

PROOF_SECONDS: Final = 15.0
"""A reload is a matter of milliseconds; under load its old workers may take connections for some more."""
HANDSHAKE_SECONDS: Final = 5.0
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  the settings' way to say "everywhere"


@dataclass(frozen=True, slots=True)
class EdgeFront:
    """A `Front`: the nginx of one stack."""

    home: Home
    settings: Settings

    def check(self) -> None:
        """Let the very nginx test its configuration with what is live; before there is one, there is nothing to ask."""
        record, conf = self.home.record(), self.home.root / "nginx" / "nginx.conf"
        if record is None or not conf.exists():
            return
        if not write_configuration(self.home, self.settings, record.ports):
            nginx.check(find("nginx"), conf)

    def reload(self) -> bool:
        """HUP, where it runs."""
        supervisor = Supervisor(self.home)
        if not supervisor.running():
            return False
        state = supervisor.states().get("nginx")
        if state is None or state.pid is None:
            return False
        supervisor.signal("nginx", signal.SIGHUP)
        return True

    def prove(self, chain: Chain) -> None:
        """Every name, verified as strict clients do, until the listener shows this very certificate."""
        record = self.home.record()
        if record is None:
            raise TlsError("there is no stack here", "./nasos up")
        address = self._address(record)
        strict = ssl.create_default_context(cafile=str(public_roots(self.settings.tls)))
        strict.verify_flags |= ssl.VERIFY_X509_STRICT
        wanted, deadline = chain.leaf.public_bytes(Encoding.DER), time.monotonic() + PROOF_SECONDS
        for host in self.settings.tls.hosts:
            # Workers of before take connections for a moment longer: one that shows the old one proves nothing.
            while flaw := _flaw(address, host, strict, wanted):
                if time.monotonic() > deadline:
                    raise TlsError(f"nginx does not show it under {host}: {flaw}", "./nasos logs nginx")
                time.sleep(0.05)

    def knock(self, host: str, pair: Pulling, path: str) -> None:
        """Ask for a path with a client certificate; what the answer is, and whether there is one, its log tells."""
        record = self.home.record()
        if record is None:
            return
        context = ssl.create_default_context(cafile=str(edge_trust(self.home.tls, self.settings.tls)))
        fd = os.memfd_create("client certificate")  # the library wants a file, and no disk may have the key
        try:
            os.write(fd, pair.certificate + pair.key.reveal().encode())
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            socket.create_connection(self._address(record), HANDSHAKE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            connection = http.client.HTTPConnection(host)
            connection.sock = secured
            connection.request("GET", path)
            connection.getresponse().read(1 << 16)

    def _address(self, record: Record) -> tuple[str, int]:
        listen = self.settings.stack.listen
        return _ANYWHERE.get(listen, listen), record.ports.https


def _flaw(address: tuple[str, int], host: str, strict: ssl.SSLContext, wanted: bytes) -> str:
    """What a strict client has against the listener; empty when it shows the wanted certificate."""
    try:
        return "" if _handshake(address, host, strict) == wanted else "it shows another certificate"
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()


def _handshake(address: tuple[str, int], host: str, context: ssl.SSLContext) -> bytes | None:
    with (
        socket.create_connection(address, HANDSHAKE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert(binary_form=True)
