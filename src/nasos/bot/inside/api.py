"""The API's credentials, replaced while it serves.

Rules:

* Password, JWT key and websocket token change together, by one assignment: a request in flight sees the old ones or
  the new ones whole, so that an old password can never buy a token that the new key signed.
* Open websockets were let in by the old credentials: they are closed. freqtrade looks at a token before it accepts and
  never again, so it is looked at once more at the moment of accepting; none slips in between.
* Anything that is not as we know it refuses the swap before it has changed anything; a reload does the work then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from nasos.bot.inside.familiar import unfamiliar
from nasos.bot.packed import plain
from nasos.errors import BotError
from nasos.secret import Secret

_CONSEQUENCE: Final = "its credentials cannot be replaced in place"


class Credentials:
    """Of the one API in this process."""

    def __init__(self) -> None:
        self._open: WeakKeyDictionary[Any, asyncio.AbstractEventLoop] = WeakKeyDictionary()
        self._watched = False

    def watch(self) -> None:
        """Know every websocket from the moment when it is accepted (safe to repeat).

        Raises:
            BotError: freqtrade's websockets are not as we know them.
        """
        if self._watched:
            return
        from freqtrade.rpc.api_server.api_auth import validate_ws_token
        from freqtrade.rpc.api_server.deps import get_api_config
        from freqtrade.rpc.api_server.ws.channel import WebSocketChannel

        accept = getattr(WebSocketChannel, "accept", None)
        if not callable(accept) or not isinstance(getattr(WebSocketChannel, "raw_websocket", None), property):
            raise unfamiliar("WebSocketChannel", "open websockets could not be closed")

        async def accepted(channel: Any) -> None:  # noqa: ANN401  freqtrade is untyped here
            websocket = channel.raw_websocket
            if hasattr(websocket, "query_params"):  # one that came to us, not the bot's own to a producer
                self._open[channel] = asyncio.get_running_loop()
                if await validate_ws_token(websocket, websocket.query_params.get("token"), get_api_config()) is None:
                    await channel.close()
                    return
            await accept(channel)

        WebSocketChannel.accept = accepted
        self._watched = True

    def swap(self, fields: Mapping[str, Secret]) -> None:
        """From now on the API takes ``fields``, and nothing of before.

        Raises:
            BotError: It is not as we know it; nothing changed.
        """
        from freqtrade.rpc.api_server import api_auth, deps
        from freqtrade.rpc.api_server.webserver import ApiServer

        config = getattr(ApiServer, "_config", None)
        section = config.get("api_server") if isinstance(config, dict) else None
        if not self._watched or not isinstance(section, dict):
            raise unfamiliar("running API", _CONSEQUENCE)
        if deps.get_api_config() is not section or api_auth.get_api_config is not deps.get_api_config:
            raise unfamiliar("api_server section that it asks at each request", _CONSEQUENCE)
        if not {"username", "password", "jwt_secret_key"} <= section.keys():
            raise unfamiliar("credentials in its api_server section", _CONSEQUENCE)
        section = {**section, **{name: plain(value) for name, value in fields.items()}}
        ApiServer._config["api_server"] = section  # noqa: SLF001  the one place that freqtrade looks at
        if deps.get_api_config() is not section:
            raise BotError("freqtrade went on with its old credentials")
        self._close_all()

    def _close_all(self) -> None:
        for channel, loop in list(self._open.items()):
            if not loop.is_closed():
                asyncio.run_coroutine_threadsafe(channel.close(), loop)
