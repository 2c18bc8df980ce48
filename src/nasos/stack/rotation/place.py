"""Where the bot trades, as its configuration says: which exchange, at which address, with what.

Rules: the probe asks where ccxt would ask: an address in ``ccxt_config`` (a simulator, a test network, another host
name) counts, and the demo exchange is one of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nasos.errors import BotError
from nasos.exchange.known import ASKED
from nasos.stack.configuration import bot_configuration
from nasos.stack.embedded import Stack


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bot trades."""

    exchange: str
    """ccxt's name of it."""
    origin: str | None
    """Another address than its own."""
    futures: bool
    live: bool
    """Real orders: the bot itself signs requests with the key."""


def of(stack: Stack) -> Place:
    """Where this stack's bot trades.

    Raises:
        BotError: Its configuration cannot be read.
    """
    configuration = bot_configuration(stack)
    section = _table(configuration.get("exchange"))
    name = str(section.get("name"))
    return Place(
        exchange=name,
        origin=_origin(name, _table(section.get("ccxt_config"))),
        futures=configuration.get("trading_mode") == "futures",
        live=not configuration.get("dry_run", True),
    )


def _origin(name: str, ccxt: Mapping[str, Any]) -> str | None:
    asked = ASKED.get(name)
    if asked is None:
        return None
    url = _table(_table(ccxt.get("urls")).get("api")).get(asked.endpoint)
    if url is None:
        host = ccxt.get("hostname")
        return f"https://{_labels(asked.origin)}.{host}" if isinstance(host, str) else None
    parts = urlsplit(str(url))
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc:
        raise BotError(f"the bot's configuration has no usable address for {name}", "look at ccxt_config.urls.api")
    return f"{parts.scheme}://{parts.netloc}"


def _labels(origin: str) -> str:
    """``api`` of ``https://api.bybit.com``: ccxt's hostname is what follows it."""
    return (urlsplit(origin).hostname or "").split(".", 1)[0]


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
