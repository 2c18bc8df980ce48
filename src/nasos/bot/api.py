"""The bot's own API as launcher and probes speak to it: TLS, verified, straight to its port on this machine.

Rules: the name on the certificate is the bot's alone, so that no other service of the stack can answer in its place;
a login that is refused is an answer, anything that is not an answer is an error; no secret in any of them.
"""

from __future__ import annotations

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from nasos.bot.command import SUPERVISED
from nasos.errors import BotError
from nasos.secret import Secret

if TYPE_CHECKING:
    import ssl

NAME: Final = "bot.localhost"
"""On the certificate of the bot's API, and on no other."""
SECONDS: Final = 5.0

_UNAUTHORIZED: Final = 401
_WEBSOCKET: Final = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "bmFzb3MtbG9va3MtaW4tMQ==",
}


def port_of(subcommand: str, configuration: Mapping[str, object]) -> int | None:
    """Where the API will listen; None when this command starts none."""
    section = configuration.get("api_server")
    if not isinstance(section, Mapping) or not (subcommand == "webserver" or section.get("enabled")):
        return None
    port = section.get("listen_port")
    return port if isinstance(port, int) and subcommand in SUPERVISED else None


def context(ca_file: Path) -> ssl.SSLContext:
    """A strict client of the stack's own CA."""
    import ssl

    strict = ssl.create_default_context(cafile=str(ca_file))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.minimum_version = ssl.TLSVersion.TLSv1_3
    return strict


def connection(port: int, ca_file: Path, seconds: float = SECONDS) -> http.client.HTTPSConnection:
    """To the bot on this machine, under its name; connects at the first request."""
    return _ByName(port, context(ca_file), seconds)


class _ByName(http.client.HTTPSConnection):
    """Connects to loopback, verifies the name (which need not resolve)."""

    def __init__(self, port: int, tls: ssl.SSLContext, seconds: float) -> None:
        super().__init__("127.0.0.1", port, timeout=seconds, context=tls)
        self._tls = tls

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=NAME)


@dataclass(frozen=True, slots=True)
class BotApi:
    """One bot's API."""

    port: int
    ca_file: Path

    def log_in(self, login: Mapping[str, Secret]) -> Secret | None:
        """An access token for the fields of a record ``api``; None when they are refused.

        Raises:
            BotError: No usable answer.
        """
        status, body = self._ask("POST", "token/login", _basic(login))
        if status == _UNAUTHORIZED:
            return None
        try:
            return Secret(msgspec.json.decode(body, type=_Tokens).access_token)
        except msgspec.MsgspecError:
            raise BotError(f"the bot's API answers a login with {status}") from None

    def accepts(self, token: Secret) -> bool:
        """Whether an access token is good.

        Raises:
            BotError: No usable answer.
        """
        status, _ = self._ask("GET", "version", {"Authorization": f"Bearer {token.reveal()}"})
        if status not in (200, _UNAUTHORIZED):
            raise BotError(f"the bot's API answers a token with {status}")
        return status == 200

    def opens(self, token: Secret) -> bool:
        """Whether a websocket token is good.

        Raises:
            BotError: No usable answer.
        """
        status, _ = self._ask("GET", f"message/ws?token={quote(token.reveal(), safe='')}", _WEBSOCKET)
        if status not in (101, 403):
            raise BotError(f"the bot's API answers a websocket with {status}")
        return status == 101

    def state(self, login: Mapping[str, Secret]) -> str:
        """``running``, ``paused``, ``stopped`` or what freqtrade calls it meanwhile.

        Raises:
            BotError: No usable answer.
        """
        status, body = self._ask("GET", "show_config", _basic(login))
        try:
            return msgspec.json.decode(body, type=_Shown).state
        except msgspec.MsgspecError:
            raise BotError(f"the bot's API does not tell its state ({status})") from None

    def asks_database(self, login: Mapping[str, Secret]) -> bool:
        """Whether it answers a question that it has to ask its database: the open trades.

        Raises:
            BotError: No usable answer.
        """
        return self._ask("GET", "status", _basic(login))[0] == 200

    def asks_exchange(self, login: Mapping[str, Secret]) -> bool:
        """Whether it knows its balance, which a bot with real orders asked its exchange for after it was started.

        Raises:
            BotError: No usable answer.
        """
        return self._ask("GET", "balance", _basic(login))[0] == 200

    def inside_order(self, login: Mapping[str, Secret]) -> bool:
        """Whether one of its open trades has an order that the exchange has not filled yet.

        Raises:
            BotError: No usable answer.
        """
        status, body = self._ask("GET", "status", _basic(login))
        try:
            return any(trade.has_open_orders for trade in msgspec.json.decode(body, type=list[_Trade]))
        except msgspec.MsgspecError:
            raise BotError(f"the bot's API does not tell its open trades ({status})") from None

    def reload(self, login: Mapping[str, Secret]) -> None:
        """Make freqtrade load its configuration anew; it does so when its present round is over.

        Raises:
            BotError: It refuses.
        """
        status, _ = self._ask("POST", "reload_config", _basic(login))
        if status != 200:
            raise BotError(f"the bot refuses to reload ({status})")

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        line = connection(self.port, self.ca_file)
        try:
            line.request(method, f"/api/v1/{path}", headers=dict(headers))
            answer = line.getresponse()
            return answer.status, answer.read(1 << 20)
        except (OSError, http.client.HTTPException) as error:
            raise BotError(f"the bot's API gives no answer: {type(error).__name__}", "nasos logs bot") from None
        finally:
            line.close()


def _basic(login: Mapping[str, Secret]) -> Mapping[str, str]:
    pair = f"{login['username'].reveal()}:{login['password'].reveal()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


class _Tokens(msgspec.Struct):
    """The part of freqtrade's answer to a login that we read."""

    access_token: str


class _Trade(msgspec.Struct):
    """The part of an open trade that we read."""

    has_open_orders: bool = False


class _Shown(msgspec.Struct):
    """The part of freqtrade's ``show_config`` that we read."""

    state: str
