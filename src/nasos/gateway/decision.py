"""Whether a request may go on to the bot: the answer that nginx asks for before each one (``auth_request``).

Rules:

* Bare ASGI: it runs once per request. 204 with the bot's own token in a header that nginx alone sees; 401 for nobody,
  403 for somebody who may not; 503 where it could not be found out. nginx makes "closed" of everything else.
* What is judged is what nginx passes on: its unaltered ``$request_uri``.
* A cookie comes along whoever made the browser ask: with it, what changes something needs our own Origin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from nasos.errors import Error, TokenRefused
from nasos.gateway import cookies
from nasos.gateway.access import decide
from nasos.gateway.config import Bot, Config
from nasos.gateway.passes import Pass, Passes, tokens_shape
from nasos.gateway.told import Told
from nasos.gateway.vaulted import SIGNING, Vaulted, key_of
from nasos.secret import Secret

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH: Final = "/auth/decide"
MINTED: Final = "x-nasos-minted"
READING: Final = frozenset({"GET", "HEAD"})
OWN: Final = frozenset({"x-nasos-uri", "x-nasos-method", "x-real-ip"})
"""Set by nginx, and no business of the rules about headers."""


class Decision:
    """The ASGI application behind `PATH`."""

    def __init__(self, config: Config, passes: Passes, vault: Vaulted, told: Told) -> None:
        self._config, self._passes, self._vault, self._told = config, passes, vault, told

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Answer one question."""
        headers = headers_of(scope)
        status, extra = await self._answer(headers)
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": b""})

    async def _answer(self, headers: dict[str, str]) -> tuple[int, list[tuple[bytes, bytes]]]:
        bot = self._config.bot(headers.get("host", ""))
        if bot is None:
            return 403, []
        try:
            if not self._vault.at_hand(SIGNING, key_of(bot.name)):
                await asyncio.to_thread(self._vault.refresh, bot.name)
            held = self._passes.of(headers, bot)
            if not self.allowed(held, headers):
                return 403, []
            minted = self._vault.minted(bot.name)
        except TokenRefused as error:
            self._told_of(error, headers)
            return 401, []
        except Error:
            return 503, []
        return 204, [(MINTED.encode(), b"Bearer " + minted.reveal().encode())]

    def _told_of(self, error: TokenRefused, headers: dict[str, str]) -> None:
        """Record a token of a program that does not count; that a cookie or an access token ends is its usual way."""
        _, _, shown = headers.get("authorization", "").partition(" ")
        if shown and not tokens_shape(Secret(shown)):
            client = headers.get("x-real-ip", "")
            self._told.refused("gateway", "gateway.denied", "API token", why=error.message, client=client)

    def allowed(self, held: Pass, headers: dict[str, str]) -> bool:
        """Whether somebody may send this request; a refusal is recorded."""
        method, target = headers.get("x-nasos-method", ""), headers.get("x-nasos-uri", "")
        if held.by == "cookie" and method not in READING and not cookies.own_origin(headers):
            why, endpoint = "another page asked", None
        else:
            decision = decide(held.role, method, target, headers.keys() - OWN)
            if decision.allowed:
                return True
            why, endpoint = decision.reason, decision.endpoint
        self._told.refused(
            held.user, "gateway.denied", endpoint or "unknown endpoint",
            why=why, method=method[:16], role=str(held.role), client=headers.get("x-real-ip", ""), by=held.sid,
        )  # fmt: skip
        return False

    def may_stream(self, held: Pass, bot: Bot, target: str, headers: dict[str, str]) -> bool:
        """Whether somebody may open the bot's stream of messages."""
        asked = {**headers, "x-nasos-method": "GET", "x-nasos-uri": target}
        return self._config.bot(headers.get("host", "")) is bot and self.allowed(held, asked)


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The request's headers by lower-case name; one that is there twice is neither."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        found[key] = f"{found[key]}, {value.decode('latin-1')}" if key in found else value.decode("latin-1")
    return found
