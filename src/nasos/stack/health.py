"""Proven health: an audited Vault read, a database login, a market answer, the bot's API, an HTTPS request.

A live pid proves nothing: a Vault whose audit disk is full answers 200 on ``sys/health`` and 500 on everything else
(measured), and a freqtrade whose API died keeps its container running (freqtrade issue 12509).
"""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import Error, ProgramFailed
from nasos.secret import Secret
from nasos.stack.postgres import Login, Server, connect
from nasos.vault import VaultClient

REQUEST_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """What one probe saw."""

    name: str
    healthy: bool
    evidence: str
    """What was proven, or what went wrong; never a secret."""


Probe = Callable[[], str]
"""Returns the evidence; raises ``Error`` or ``OSError`` when the program is not well."""


def look(name: str, probe: Probe) -> Health:
    """Run one probe."""
    try:
        return Health(name, healthy=True, evidence=probe())
    except Error as error:
        return Health(name, healthy=False, evidence=error.message)
    except (OSError, http.client.HTTPException) as error:
        return Health(name, healthy=False, evidence=f"no answer ({type(error).__name__})")


def wait(name: str, probe: Probe, seconds: float, gone: Callable[[], str | None]) -> Health:
    """Probe until it is well.

    ``gone`` returns why there is no point in waiting on (the program gave up), else None.

    Raises:
        ProgramFailed: Not well in time, or given up.
    """
    deadline = time.monotonic() + seconds
    pause = 0.02
    while True:
        health = look(name, probe)
        if health.healthy:
            return health
        reason = gone()
        if reason or time.monotonic() > deadline:
            raise ProgramFailed(f"{name} did not become healthy: {reason or health.evidence}", f"./nasos logs {name}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def vault(client: VaultClient) -> Probe:
    """An authenticated, therefore audited, read of the bootstrap marker."""

    def probe() -> str:
        return f"audited read of version {client.read('_meta/bootstrap').version}"

    return probe


def postgres(server: Server, login: Login) -> Probe:
    """A verified login as the bot's own user."""

    def probe() -> str:
        with connect(server, login) as db:
            db.execute("SELECT 1")
        return f"login as {login.username}"

    return probe


def exchange(port: int) -> Probe:
    """The market's clock."""

    def probe() -> str:
        status, _ = _get(http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS), "/api/v3/time")
        return f"market answers ({status})"

    return probe


def bot(port: int, username: str, password: Secret) -> Probe:
    """Login at the bot's own API and its state."""

    def probe() -> str:
        pair = base64.b64encode(f"{username}:{password.reveal()}".encode()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
        _, body = _get(connection, "/api/v1/show_config", {"Authorization": f"Basic {pair}"})
        shown = msgspec.json.decode(body, type=_Shown)
        if shown.state not in ("running", "paused", "stopped"):
            raise ProgramFailed(f"the bot is {shown.state}")
        return f"{shown.state}, {shown.strategy}, {'dry-run' if shown.dry_run else 'REAL MONEY'}"

    return probe


class _Shown(msgspec.Struct):
    """The part of freqtrade's ``show_config`` that we read."""

    state: str
    strategy: str | None
    dry_run: bool


def edge(port: int, listen: str, host: str, ca_file: Path) -> Probe:
    """A verified HTTPS request through nginx to the bot."""

    def probe() -> str:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        connection = _ByName(listen, port, host, context)
        status, _ = _get(connection, "/api/v1/ping", {"Host": host})
        return f"https request to {host} ({status})"

    return probe


class _ByName(http.client.HTTPSConnection):
    """Connects to an address, verifies a name (the name need not resolve)."""

    def __init__(self, address: str, port: int, name: str, context: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=REQUEST_SECONDS, context=context)
        self._name, self._tls = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _get(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read(1 << 20)
    finally:
        connection.close()
    if answer.status != 200:
        raise ProgramFailed(f"answered {answer.status}")
    return answer.status, body
