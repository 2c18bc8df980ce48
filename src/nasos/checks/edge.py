"""How checks speak to the edge: to its address, under its name, verified strictly against whoever must have signed."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nasos.checks.target import Target
from nasos.errors import Error

SECONDS: Final = 3.0
"""Patience with one connection on the same machine."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def edge_address(target: Target) -> tuple[str, int]:
    """Where to connect: on this machine, whatever the edge listens on.

    Raises:
        Error: There is no stack.
    """
    if target.ports is None:
        raise Error("there is no stack here", "./nasos up")
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  the settings' way to say "everywhere"
    return anywhere.get(target.listen, target.listen), target.ports.https


def context(ca_file: Path | None) -> ssl.SSLContext:
    """A strict client; without a CA file it trusts nobody."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    strict.minimum_version = ssl.TLSVersion.TLSv1_2
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    if ca_file:
        strict.load_verify_locations(ca_file)
    return strict


@contextlib.contextmanager
def connected(address: tuple[str, int], host: str, tls: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """A verified connection to ``address`` under the name ``host``, closed at the end of the block."""
    with (
        socket.create_connection(address, SECONDS) as plain,
        tls.wrap_socket(plain, server_hostname=host) as secured,
    ):
        yield secured


def get(target: Target, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """One verified GET of the edge under its first name."""
    host = target.hosts[0]
    shown = f"[{host}]" if ":" in host else host
    with connected(edge_address(target), host, context(target.edge_ca_file)) as secured:
        connection = http.client.HTTPConnection(shown)
        connection.sock = secured
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        lowered = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, lowered, answer.read(1 << 16))
