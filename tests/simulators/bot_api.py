"""A bot's API as nginx and the status page see it: freqtrade's addresses and shapes, remembering what came.

One difference to freqtrade, on purpose: passwords are accepted at every address by freqtrade, so they are here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt

USERNAME = "trader"
PASSWORD = "correct horse"
ACCESS_TOKEN = "access-token-of-the-simulator"
REFRESH_TOKEN = "refresh-token-of-the-simulator"
_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class BotApi:
    """A running simulator; use it as a context manager."""

    certificates: Path | None = None
    """Where ``bot.pem`` and ``bot.key`` are; without, plain http."""
    service: str = "bot"
    """Whose certificate it shows."""
    key: str | None = None
    """Takes tokens signed by it, as freqtrade does by its ``jwt_secret_key``; without, one token of its own."""
    port: int = 0
    received: list[Received] = field(default_factory=list)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Address -> status and JSON, instead of the usual answer."""
    files: dict[str, Path] = field(default_factory=dict)
    """Address -> a file of a page."""

    def __enter__(self) -> Self:
        """Listen."""
        self._server = _Quiet(("127.0.0.1", self.port), type("Bound", (_Answering,), {"bot": self}))
        self.port = self._server.server_address[1]
        if self.certificates:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(self.certificates / f"{self.service}.pem", self.certificates / f"{self.service}.key")
            # The handshake is done by the thread that answers, so that a silent client stops nobody else.
            wrapped = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
            self._server.socket = wrapped
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(ThreadingHTTPServer):
    """Clients that go away in mid-sentence are part of the tests."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bot: BotApi

    def do_GET(self) -> None:
        self.bot.received.append(Received(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = self.path.partition("?")[0]
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        if path in self.bot.answers:
            status, body = self.bot.answers[path]
            self._answer(status, body)
        elif path in self.bot.files:
            self._file(self.bot.files[path])
        elif path == "/api/v1/message/ws" and "websocket" in self.headers.get("Upgrade", ""):
            self._websocket()
        elif path == "/api/v1/ping":
            self._answer(200, {"status": "pong"})
        elif path == "/api/v1/token/login":
            self._login()
        elif path == "/api/v1/token/refresh":
            known = self.headers.get("Authorization") == f"Bearer {REFRESH_TOKEN}"
            self._answer(*((200, {"access_token": ACCESS_TOKEN}) if known else (401, {"detail": "Unauthorized"})))
        elif path.startswith("/api/v1/"):
            self._authorized(path.removeprefix("/api/v1/"))
        else:
            self._answer(404, {"detail": "Not Found"})

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = do_GET  # noqa: N815  http.server's names

    def _password_right(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        return given == base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()

    def _token_right(self, token: str) -> bool:
        if self.bot.key is None:
            return token == ACCESS_TOKEN
        try:
            return bool(jwt.decode(token, self.bot.key, algorithms=["HS256"])["type"] == "access")
        except (jwt.PyJWTError, KeyError):
            return False

    def _login(self) -> None:
        if self._password_right():
            self._answer(200, {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN})
        else:
            self._answer(401, {"detail": "Incorrect username or password"}, {"WWW-Authenticate": "Basic"})

    def _authorized(self, name: str) -> None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if not (scheme == "Bearer" and self._token_right(token)) and not self._password_right():
            self._answer(401, {"detail": "Unauthorized"})
        elif name in DATA:
            self._answer(200, DATA[name])
        else:
            self._answer(404, {"detail": "Not Found"})

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _file(self, path: Path) -> None:
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _websocket(self) -> None:
        """RFC 6455: accept, and say back what is said until one of the two goes."""
        self.close_connection = True
        token = parse_qs(urlsplit(self.path).query).get("token", [""])[0]
        if self.bot.key is not None and not self._token_right(token):
            self._answer(403, {"detail": "Forbidden"})
            return
        digest = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _WEBSOCKET_GUID).encode(), usedforsecurity=False)
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest.digest()).decode())
        self.end_headers()
        while (frame := self._frame()) is not None:
            kind, content = frame
            kind = {9: 10}.get(kind, kind)  # a ping's answer is a pong
            size = bytes([len(content)]) if len(content) < 126 else struct.pack("!BH", 126, len(content))
            self.wfile.write(bytes([0x80 | kind]) + size + content)
            if kind == 8:
                return

    def _frame(self) -> tuple[int, bytes] | None:
        """Kind and content of what comes next, 64 KiB at most; None: nothing more."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.rfile.read(2))
        mask = self.rfile.read(4)
        return head[0] & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's signature
        """Silent."""


def _trade(number: int, pair: str, *, hours: float, profit: float | None = None, reason: str = "roi") -> dict[str, Any]:
    now = int(time.time() * 1000)
    rate = {"BTC": 61234.5, "ETH": 3011.25, "SOL": 148.07}.get(pair.partition("/")[0], 0.5123)
    trade: dict[str, Any] = {
        "trade_id": number,
        "pair": pair,
        "is_open": profit is None,
        "is_short": False,
        "amount": round(100 / rate, 6),
        "stake_amount": 100.0,
        "open_rate": rate,
        "open_timestamp": now - int(hours * 3_600_000),
        "enter_tag": "ewo1",
        "profit_ratio": profit,
        "profit_abs": None if profit is None else round(100 * profit, 3),
    }
    if profit is None:
        drift = ((number * 37) % 11 - 5) / 1000
        return trade | {
            "current_rate": rate * (1 + drift), "profit_ratio": drift, "profit_abs": 100 * drift,
            "total_profit_abs": 100 * drift, "stop_loss_ratio": -0.189,
        }  # fmt: skip
    return trade | {
        "close_rate": rate * (1 + profit), "close_timestamp": now - int(hours * 900_000), "close_profit": profit,
        "close_profit_abs": 100 * profit, "exit_reason": reason,
    }  # fmt: skip


DATA: dict[str, Any] = {
    "show_config": {
        "version": "2026.9", "dry_run": True, "state": "running", "strategy": "NASOSv5_mod3", "exchange": "demo",
        "stake_currency": "USDT", "stake_currency_decimals": 3, "max_open_trades": 5, "timeframe": "5m",
        "bot_name": "nasos", "trading_mode": "spot", "runmode": "dry_run",
    },
    "balance": {
        "total": 1012.43, "total_bot": 1012.43, "stake": "USDT", "symbol": "", "value": 0.0, "currencies": [],
        "starting_capital": 1000.0, "starting_capital_ratio": 0.01243,
    },
    "profit": {
        "profit_closed_coin": 11.82, "profit_closed_ratio": 0.01182, "profit_all_coin": 12.43,
        "profit_all_ratio": 0.01243, "trade_count": 14, "closed_trade_count": 11, "winning_trades": 9,
        "losing_trades": 2, "winrate": 0.818, "max_drawdown": 0.004, "bot_start_timestamp": 0,
    },
    "count": {"current": 3, "max": 5, "total_stake": 300.0},
    "status": [
        _trade(14, "BTC/USDT", hours=0.4), _trade(13, "ETH/USDT", hours=2.2), _trade(12, "SOL/USDT", hours=26),
    ],
    "trades": {
        "trades": [
            _trade(7, "ADA/USDT", hours=9, profit=-0.0311, reason="stop_loss"),
            _trade(8, "ETH/USDT", hours=7, profit=0.0121),
            _trade(9, "XRP/USDT", hours=6, profit=0.0034, reason="exit_signal"),
            _trade(10, "BTC/USDT", hours=5, profit=0.0208),
            _trade(11, "SOL/USDT", hours=4, profit=0.0098, reason="trailing_stop_loss"),
        ],
        "trades_count": 5, "total_trades": 11, "offset": 0,
    },
}  # fmt: skip
