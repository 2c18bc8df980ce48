"""One request to Cloudflare's API, and what came back; nothing is decided here.

Rules: verified TLS; plain http to a loopback address only (simulators). No redirect is followed with a token. An answer
has bounds in bytes and in time. The token is in one header and nowhere else: not in an error, not in a log.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from nasos import __version__
from nasos.errors import ApiTokenRefused, UsageError
from nasos.secret import Secret

API: Final = "https://api.cloudflare.com/client/v4"
LARGEST: Final = 64 << 20
"""Bytes of an answer; a page of 5,000 records has about 3 MB."""


class NoAnswer(Exception):
    """``sent`` tells whether the request may have arrived."""

    def __init__(self, why: str, *, sent: bool, hint: str = "is api.cloudflare.com reachable from here?") -> None:
        super().__init__(why)
        self.why, self.sent, self.hint = why, sent, hint


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def patience(self) -> float:
        """Seconds that ``Retry-After`` asks for; a date counts from the answer's own ``Date``, not from our clock."""
        after = self.headers.get("retry-after", "").strip()
        if after.isdigit():
            return float(after[:9])
        try:
            until, sent = parsedate_to_datetime(after), parsedate_to_datetime(self.headers["date"])
            return max(0.0, (until - sent).total_seconds())
        except (ValueError, TypeError, KeyError):
            left = re.search(r"\bt=(\d{1,9})", self.headers.get("ratelimit", ""))
            return float(left[1]) if left else 60.0


class Wire:
    """Connections to one API with one token."""

    def __init__(self, token: Secret, origin: str, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        headers = {**_bearer(token), "User-Agent": f"nasos/{__version__}"}
        self._origin, self._headers = _allowed(origin), headers
        self._made: httpx.Client | None = None

    def close(self) -> None:
        """End the connections."""
        if self._made is not None:
            self._made.close()
            self._made = None

    @property
    def _http(self) -> httpx.Client:
        # When first asked: loading the authorities' certificates takes 30 ms.
        if self._made is None:
            self._made = httpx.Client(base_url=self._origin, timeout=self._seconds, headers=self._headers)
        return self._made

    def send(self, method: str, path: str, query: Mapping[str, str | int], body: object) -> Heard:
        """One request, once.

        Raises:
            NoAnswer: None came, or none that ends.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        deadline = self._clock() + 4 * self._seconds
        try:
            with self._http.stream(method, path, params=query, content=content, headers=headers) as answer:
                return Heard(answer.status_code, answer.headers, self._content(answer, deadline))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unconnected(error) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise NoAnswer(f"Cloudflare's answer was lost ({type(error).__name__})", sent=True) from None

    def _content(self, answer: httpx.Response, deadline: float) -> bytes:
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST or self._clock() > deadline:
                raise NoAnswer("Cloudflare's answer does not end", sent=True)
        return b"".join(pieces)


def _unconnected(error: httpx.TransportError) -> NoAnswer:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(
                "the certificate of Cloudflare's API was refused; nothing was sent",
                sent=False, hint="is this machine's clock right, and is there a proxy in between?",
            )  # fmt: skip
        cause = cause.__cause__ or cause.__context__
    return NoAnswer(f"Cloudflare cannot be reached ({type(error).__name__})", sent=False)


def _bearer(token: Secret) -> dict[str, str]:
    value = token.reveal().strip()  # the line break of `echo token > file`
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise ApiTokenRefused(
            "the Cloudflare API token holds characters that no token has", "paste it anew: nothing was sent"
        )
    return {"Authorization": f"Bearer {value}"}


def _allowed(origin: str) -> str:
    parts = urlsplit(origin)
    try:
        local = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        local = False
    safe = parts.scheme == "https" or (parts.scheme == "http" and local)
    if not safe or not parts.hostname or parts.username or parts.query:
        raise UsageError("Cloudflare would be asked without TLS, or at no address", f"use {API}")
    return origin.rstrip("/")
