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
from typing import Final, Protocol

import msgspec

from nasos.bot.api import connection
from nasos.database import Endpoint, Login, connect
from nasos.errors import Error, ProgramFailed
from nasos.secret import Secret
from nasos.vault import VaultClient

REQUEST_SECONDS: Final = 5.0

_OF_THE_BOT: Final = {401: "its API refuses the login that is in Vault"}
_OF_THE_GATEWAY: Final = {503: "it has nothing from Vault"}
_BEHIND: Final = "nginx answers, but the gateway behind it does not"
_OF_THE_EDGE: Final = {200: "it lets strangers in", 502: _BEHIND, 503: _BEHIND, 504: _BEHIND}


@dataclass(frozen=True, slots=True)
class Health:
    """What one probe saw."""

    name: str
    healthy: bool
    evidence: str
    """What was proven, or what went wrong; never a secret."""
    hint: str | None = None
    """What to type, where the error knew it."""


Probe = Callable[[], str]
"""Returns the evidence; raises ``Error`` or ``OSError`` when the program is not well."""


def look(name: str, probe: Probe) -> Health:
    """Run one probe."""
    try:
        return Health(name, healthy=True, evidence=probe())
    except Error as error:
        return Health(name, healthy=False, evidence=error.message, hint=error.hint)
    except (OSError, http.client.HTTPException) as error:
        return Health(name, healthy=False, evidence=_no_answer(error))


def _no_answer(error: OSError | http.client.HTTPException) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is refused: {error.verify_message}"
        case ssl.SSLError():
            return "its TLS handshake fails"
        case ConnectionRefusedError():
            return "nothing listens there"
        case TimeoutError():
            return f"no answer within {REQUEST_SECONDS:.0f} s"
        case ConnectionError() | http.client.RemoteDisconnected():
            return "it closes the connection without an answer"
        case http.client.HTTPException():
            return "what listens there does not speak HTTP"
    return f"no answer: {(error.strerror or type(error).__name__).lower()}"


class Watched(Protocol):
    """Who can tell that there is no point in waiting on, and why."""

    def gave_up(self) -> str | None:
        """None while there is."""

    def reason(self) -> str | None:
        """What the program itself says is wrong."""


def wait(name: str, probe: Probe, seconds: float, watch: Watched) -> Health:
    """Probe until it is well.

    Raises:
        ProgramFailed: Not well in time, or given up.
    """
    deadline = time.monotonic() + seconds
    pause = 0.02
    while True:
        health = look(name, probe)
        if health.healthy:
            return health
        gave_up = watch.gave_up()
        if gave_up or time.monotonic() > deadline:
            said = watch.reason()
            raise ProgramFailed(
                f"{name} did not become healthy: {gave_up or health.evidence}"
                + (f"; its log says: {said}" if said else ""),
                f"./nasos logs {name}",
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def vault(client: VaultClient) -> Probe:
    """An authenticated, therefore audited, read of the bootstrap marker."""

    def probe() -> str:
        return f"audited read of version {client.read('_meta/bootstrap').version}"

    return probe


def postgres(server: Endpoint, login: Login) -> Probe:
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


def bot(port: int, ca_file: Path, username: str, password: Secret) -> Probe:
    """Login at the bot's own API and its state."""

    def probe() -> str:
        pair = base64.b64encode(f"{username}:{password.reveal()}".encode()).decode()
        body = _get(
            connection(port, ca_file, REQUEST_SECONDS),
            "/api/v1/show_config",
            {"Authorization": f"Basic {pair}"},
            _OF_THE_BOT,
        )[1]
        try:
            shown = msgspec.json.decode(body, type=_Shown)
        except msgspec.MsgspecError:
            raise ProgramFailed("what answers there is not freqtrade") from None
        if shown.state not in ("running", "paused", "stopped"):
            raise ProgramFailed(f"the bot is {shown.state}")
        return f"{shown.state}, {shown.strategy}, {'dry-run' if shown.dry_run else 'REAL MONEY'}"

    return probe


def bot_answers(port: int, ca_file: Path) -> bool:
    """Whether the bot's API answers at all: what can be said of it while its password cannot be read."""
    try:
        return _get(connection(port, ca_file, REQUEST_SECONDS), "/api/v1/ping")[1] == b'{"status":"pong"}'
    except (ProgramFailed, OSError, http.client.HTTPException):
        return False


class _Shown(msgspec.Struct):
    """The part of freqtrade's ``show_config`` that we read."""

    state: str
    strategy: str | None
    dry_run: bool


def gateway(port: int, tls: Path) -> Probe:
    """What it says of itself, asked as nginx asks: an audited read of Vault, and the keys that sign."""

    def probe() -> str:
        context = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(tls / "nginx.pem", tls / "nginx.key")
        status, _ = _get(_ByName("127.0.0.1", port, "gateway.localhost", context), "/auth/health", {}, _OF_THE_GATEWAY)
        return f"signs, audited read ({status})"

    return probe


def edge(port: int, listen: str, host: str, ca_file: Path) -> Probe:
    """A verified HTTPS request through nginx, which asks the gateway and lets no stranger in."""

    def probe() -> str:
        context = ssl.create_default_context(cafile=str(ca_file))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        connection = _ByName(listen, port, host, context)
        status, _ = _get(connection, "/api/v1/ping", {"Host": host}, _OF_THE_EDGE, expected=401)
        return f"https request to {host}, closed to strangers ({status})"

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
    connection: http.client.HTTPConnection,
    path: str,
    headers: Mapping[str, str] | None = None,
    meanings: Mapping[int, str] | None = None,
    expected: int = 200,
) -> tuple[int, bytes]:
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        body = answer.read(1 << 20)
    finally:
        connection.close()
    if answer.status != expected:
        meaning = (meanings or {}).get(answer.status, "it answers, but not with what was asked for")
        raise ProgramFailed(f"{meaning} ({answer.status})")
    return answer.status, body
