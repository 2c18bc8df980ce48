"""The real freqtrade under a launcher, and what a test asks of its API."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fixtures.vault import free_port
from nasos.bot.api import NAME, context
from nasos.bot.freqtrade import base_config
from nasos.settings import BotSettings
from nasos.stack import demo_exchange
from simulators.launched import API, HeldVault, Launched, Start


@dataclass
class Bot:
    """A bot that trades."""

    launched: Launched
    vault: HeldVault
    port: int
    user_data: Path

    def ask(self, path: str, method: str = "GET", authorization: str = "", body: object = None) -> tuple[int, bytes]:
        """One request to its API."""
        data = None if body is None else json.dumps(body).encode()
        url = f"https://localhost:{self.port}/api/v1/{path}"
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        if authorization:
            request.add_header("Authorization", authorization)
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.trust) as answer:  # noqa: S310  https
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, b""

    def log_in(self, password: str) -> tuple[int, bytes]:
        """With the injected user name."""
        login = base64.b64encode(f"{API['username']}:{password}".encode()).decode()
        return self.ask("token/login", "POST", f"Basic {login}")

    @property
    def bearer(self) -> str:
        """A fresh access token, for the password that is in Vault."""
        password = self.vault.records["api"]["fields"]["password"]
        return f"Bearer {json.loads(self.log_in(password)[1])['access_token']}"

    @property
    def state(self) -> str:
        """What freqtrade says that it is; empty while it does not answer."""
        try:
            return str(json.loads(self.ask("show_config", authorization=self.bearer)[1])["state"])
        except (KeyError, ValueError):
            return ""

    @property
    def applied(self) -> list[tuple[str, str, str]]:
        """Each changed record that was told: its name, the outcome, how."""
        events = [event for event in self.launched.events() if event.event == "bot.secret"]
        return [(e.target.rpartition("/")[2], e.outcome.value, e.detail["applied"]) for e in events]

    @property
    def trust(self) -> ssl.SSLContext:
        """A client of the stack's CA."""
        return context(self.launched.home / "tls/ca.pem")

    def wire(self) -> ssl.SSLSocket:
        """A connection to its port."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return self.trust.wrap_socket(plain, server_hostname=NAME)

    def plain(self, request: bytes) -> bytes:
        """What its port answers to bytes without TLS."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as wire:
            wire.sendall(request)
            try:
                return wire.recv(4096)
            except ConnectionResetError:
                return b""

    def open_websocket(self, token: str) -> ssl.SSLSocket:
        """An accepted websocket whose client never says anything."""
        wire = self.wire()
        self._upgrade(wire, token)
        assert wire.recv(4096).startswith(b"HTTP/1.1 101 ")
        return wire

    def websocket(self, token: str) -> int:
        """Status of the handshake: 101 is a yes."""
        with self.wire() as wire:
            self._upgrade(wire, token)
            return int(wire.recv(64).split()[1])

    def _upgrade(self, wire: ssl.SSLSocket, token: str) -> None:
        wire.sendall(
            f"GET /api/v1/message/ws?token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .encode()
        )  # fmt: skip

    def pid(self) -> int:
        """The bot's process."""
        return int(json.loads((self.launched.home / "run/bot/testbot.child").read_text())["pid"])


@dataclass
class Ground:
    """All that a freqtrade command needs."""

    start: Start
    vault: HeldVault
    port: int
    user_data: Path
    database_url: str | None = None

    @classmethod
    def prepare(cls, start: Start, vault: HeldVault, strategy: str, exchange: int, url: str | None = None) -> Self:
        """One bot on the demo exchange; ``strategy`` is its only class. Without ``url`` trades are in SQLite."""
        user_data, port = start.home / "user_data", free_port()
        (user_data / "strategies").mkdir(parents=True)
        (user_data / "strategies" / "own.py").write_text(strategy)
        name = strategy.partition("(IStrategy)")[0].rpartition("class ")[2]
        config = base_config(
            BotSettings(name="testbot", strategy=name),
            exchange=demo_exchange.ccxt_config(exchange),
            api_port=port,
            db_url=url or f"sqlite:///{user_data}/trades.sqlite",
            project=None,
        )
        quick = {"force_entry_enable": True, "internals": {"process_throttle_secs": 1}}
        (start.home / "base.json").write_text(json.dumps(config | quick))
        return cls(start, vault, port, user_data, url)

    def run(self, subcommand: str, *words: str, **options: Any) -> Launched:
        """Start the launcher with a freqtrade command."""
        line = ["freqtrade", subcommand, "--userdir", str(self.user_data), "-c", str(self.start.home / "base.json")]
        return self.start(words=[*line, *words], database_url=self.database_url, **{"grace": 120, **options})
