"""One question to an exchange over HTTPS.

Rules:

* TLS, verified by the system's authorities, 1.2 at least; plain http to a loopback address only (simulators, the demo
  exchange). No redirect is followed: a signed request goes where it was meant to go, or nowhere.
* No answer, half an answer, an answer that is not JSON, an overloaded or closed exchange: all of these are errors with
  a reason, none of them says anything about a key.
* Nothing of a request or an answer is quoted in an error but the exchange's own code.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from nasos.errors import ExchangeBusy, ExchangeError, ExchangeUnreachable, UsageError

SECONDS: Final = 10.0
LARGEST: Final = 1 << 20
"""Bytes of an answer; those that we ask for have less than 100 KB."""
AGENT: Final = "nasos"

_BUSY: Final = frozenset({403, 418, 429})  # Binance bans with 418, its firewall and Bybit's limit answer 403
_CODE: Final = re.compile(r"[A-Za-z0-9 :_.-]{1,60}")


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer that is JSON."""

    status: int
    body: Mapping[str, object]
    skew: float
    """Seconds by which the other clock is ahead, by its ``Date`` header; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Wire:
    """To one exchange."""

    exchange: str
    origin: str
    """``https://api.example.com``."""
    seconds: float = SECONDS

    def ask(
        self, method: str, target: str, headers: Mapping[str, str], now: datetime, body: str | None = None
    ) -> Heard:
        """The exchange's answer to one request.

        Raises:
            ExchangeUnreachable: None came, or none that can be understood.
            ExchangeBusy: It asks for patience, or is closed.
        """
        line = self._line()
        try:
            line.request(method, target, body, {"User-Agent": AGENT, "Accept": "application/json", **headers})
            answer = line.getresponse()
            content = answer.read(LARGEST + 1)
        except ssl.SSLCertVerificationError:
            raise ExchangeUnreachable(
                f"the certificate of {self.exchange} was refused; no answer was read", "is this machine's clock right?"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise ExchangeUnreachable(
                f"{self.exchange} gives no answer: {type(error).__name__}", "try again; nothing was changed"
            ) from None
        finally:
            line.close()
        self._require_open(answer)
        return Heard(answer.status, self._decoded(content), _skew(answer.getheader("Date"), now))

    def _line(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.origin)
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=self.seconds, context=context)
        if parts.scheme == "http" and _loopback(host):
            return http.client.HTTPConnection(host, parts.port, timeout=self.seconds)
        raise UsageError(f"{self.exchange} is to be asked without TLS", "an origin like https://api.example.com")

    def _require_open(self, answer: http.client.HTTPResponse) -> None:
        if answer.status in _BUSY:
            raise self.busy(answer.getheader("Retry-After"))
        if answer.status >= 500:
            raise ExchangeBusy(f"{self.exchange} cannot answer now ({answer.status})", "try again later")

    def busy(self, after: str | None = None) -> ExchangeBusy:
        """It asks for patience."""
        wait = f"in {int(after)} s" if after and after.isdigit() else "in a minute"
        return ExchangeBusy(f"{self.exchange} asks for fewer requests", f"try again {wait}")

    def _decoded(self, content: bytes) -> Mapping[str, object]:
        try:
            found = json.loads(content) if len(content) <= LARGEST else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ExchangeUnreachable(
                f"what answers for {self.exchange} does not speak its language", "is there a proxy in between?"
            )
        return found

    def strange(self, heard: Heard, code: object = None) -> ExchangeError:
        """An answer that says neither yes nor why not."""
        told = code if isinstance(code, str | int) and _CODE.fullmatch(str(code)) else heard.status
        return ExchangeError(f"{self.exchange} answers {told}, which says nothing of the key", "try again later")


def _skew(date: str | None, now: datetime) -> float:
    try:
        return (parsedate_to_datetime(date) - now).total_seconds() if date else 0.0
    except (ValueError, TypeError):
        return 0.0


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
