"""The bot's stream of messages, passed on for as long as its reader may read.

Rules: nobody reaches the bot's websocket but through here, with a token that the gateway minted; the reader's own is
looked at every second, and the stream ends with his session, with his API token, or with another role. A page of
another origin is refused, which the bot itself does not look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs, quote

from nasos.errors import Error, TokenRefused
from nasos.gateway import cookies
from nasos.gateway.config import Bot, Config
from nasos.gateway.decision import Decision, headers_of
from nasos.gateway.passes import Pass, Passes
from nasos.gateway.told import Told
from nasos.gateway.vaulted import Vaulted
from nasos.secret import Secret

STREAM: Final = "/api/v1/message/ws"
LOOKED_AT: Final = 1.0
"""Seconds between two looks at the reader's session."""
POLICY: Final = 1008
"""Why it is closed: the rules say so (RFC 6455, 7.4.1)."""
AWAY: Final = 1013
"""Try again later."""
LARGEST: Final = 8 << 20
"""Bytes of one message: an analyzed data frame is large."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Streams:
    """The ASGI application behind `STREAM`."""

    def __init__(  # noqa: PLR0913, PLR0917  what a stream needs: who may, where to, by which token
        self,
        config: Config,
        passes: Passes,
        decision: Decision,
        vault: Vaulted,
        told: Told,
        trust: Mapping[Bot, ssl.SSLContext],
    ) -> None:
        self._config, self._passes, self._decision, self._vault, self._told = config, passes, decision, vault, told
        self._trust = trust

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one stream, from its opening to its end."""
        await receive()
        headers = headers_of(scope)
        bot = self._config.bot(headers.get("host", ""))
        try:
            held = await asyncio.to_thread(self._admitted, scope, headers, bot)
            minted = await asyncio.to_thread(self._vault.minted, bot.name) if bot else None
        except Error:
            await send({"type": "websocket.close", "code": POLICY})  # before it is accepted: 403
            return
        if bot is None or minted is None:
            await send({"type": "websocket.close", "code": POLICY})
            return
        await self._joined(bot, held, minted, receive, send)

    def _admitted(self, scope: Message, headers: dict[str, str], bot: Bot | None) -> Pass:
        if bot is None or not cookies.own_origin(headers):
            raise TokenRefused("another page, or no bot")
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        tokens = query.get("token", [])
        if len(tokens) > 1:
            raise TokenRefused("two tokens")
        asked = {name: value for name, value in headers.items() if name in ("authorization", "cookie")}
        held = self._passes.holder(Secret(tokens[0]), bot, "bearer") if tokens else self._passes.of(asked, bot)
        if not self._decision.may_stream(held, bot, STREAM, headers):
            raise TokenRefused("his role does not have it")
        return held

    async def _joined(self, bot: Bot, held: Pass, minted: Secret, receive: Receive, send: Send) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import WebSocketException

        address = f"wss://{bot.shown}:{bot.port}{STREAM}?token={quote(minted.reveal().removeprefix('Bearer '))}"
        try:
            line = await connect(
                address, host=bot.address, port=bot.port, ssl=self._trust[bot], server_hostname=bot.shown,
                max_size=LARGEST, open_timeout=10, logger=None, proxy=None,
            )  # fmt: skip
        except (OSError, WebSocketException, TimeoutError):
            await send({"type": "websocket.close", "code": AWAY})
            return
        await send({"type": "websocket.accept"})
        code = AWAY
        try:
            works = [
                asyncio.create_task(self._outward(line, send)),
                asyncio.create_task(self._inward(line, receive)),
                asyncio.create_task(self._watched(held, bot)),
            ]
            done, left = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for task in left:
                task.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            code = POLICY if works[2] in done else AWAY
        finally:
            with contextlib.suppress(Exception):
                await line.close()
            with contextlib.suppress(Exception):
                await send({"type": "websocket.close", "code": code})
        if code == POLICY:
            self._told.ok(held.user, "gateway.stream", bot.name, why="its session ended", by=held.sid)

    async def _outward(self, line: Any, send: Send) -> None:  # noqa: ANN401  websockets' connection
        async for message in line:
            await send({"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message})

    async def _inward(self, line: Any, receive: Receive) -> None:  # noqa: ANN401  the same
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text")
            await line.send(text if text is not None else message.get("bytes") or b"")

    async def _watched(self, held: Pass, bot: Bot) -> None:
        while await asyncio.to_thread(self._passes.alive, held, bot):  # noqa: ASYNC110  another process may end it
            await asyncio.sleep(LOOKED_AT)
