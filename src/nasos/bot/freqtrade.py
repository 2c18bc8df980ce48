"""The bot's configuration without secrets, and the operator's own file under it.

Three layers: our defaults, then the operator's file, then what is ours to decide (where the API listens, which
database, dry-run or not). Rules:

* The result holds no secret and may lie on disk; the secret part is laid over it in memory (`document.py`).
* A secret in the operator's file is refused with its key, never quoted, and never copied.
* Empty secret keys are dropped: an empty ``api_key`` in a file is not "no key" to freqtrade (`document.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nasos.bot.configuration import merged, read_files
from nasos.bot.document import FIELDS, IDENTIFYING, SECTIONS
from nasos.bot.known import places, value_at
from nasos.errors import BotError
from nasos.settings import BotSettings

STRATEGIES: Final = Path(__file__).parent / "strategies"
"""Shipped strategies; freqtrade looks there besides the bot's ``user_data/strategies``."""

LOG_CONFIG: Final[Mapping[str, object]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"standard": {"format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s"}},
    # A plain stream: one record is one line, however wide the terminal would be.
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "standard"}},
    # At INFO uvicorn prints the path of each websocket, and with it the token, whatever api_server.verbosity says.
    "loggers": {"uvicorn.error": {"level": "WARNING"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}

_PRICING: Final = {"price_side": "same", "use_order_book": True, "order_book_top": 1}

DEFAULTS: Final[Mapping[str, object]] = {
    "max_open_trades": 3,
    "stake_currency": "USDT",
    "stake_amount": 100,
    "tradable_balance_ratio": 0.99,
    "dry_run_wallet": 1000,
    "cancel_open_orders_on_exit": False,
    "trading_mode": "spot",
    "entry_pricing": _PRICING,
    "exit_pricing": _PRICING,
    "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"},
    "pairlists": [{"method": "StaticPairList"}],
    "initial_state": "running",
    "force_entry_enable": False,
    "internals": {"process_throttle_secs": 5},
    "log_config": LOG_CONFIG,
}
"""Weakest layer; what freqtrade's schema asks of a trading bot, in its own recommended values."""


def base_config(
    settings: BotSettings,
    *,
    exchange: Mapping[str, object] | None,
    api_port: int,
    db_url: str,
    project: Path | None,
) -> dict[str, object]:
    """The whole configuration except its secrets.

    ``exchange`` is the section that stands in for the operator's (the demo exchange); ``db_url`` is without login;
    a relative ``settings.config`` lies in ``project``.

    Raises:
        BotError: Nobody names an exchange, live trading is asked of the demo exchange, or the operator's file is
            unreadable or holds secrets.
    """
    own = read_operator((project or Path.cwd()) / settings.config, settings.name) if settings.config else {}
    if exchange is not None:
        if not settings.dry_run:
            raise BotError("the demo exchange has no real orders", 'set exchange = "config" in [bot] of nasos.toml')
        own["exchange"] = dict(exchange)
    section = own.get("exchange")
    if not isinstance(section, Mapping) or not section.get("name"):
        raise BotError(
            "the bot's configuration names no exchange",
            'set config in [bot] of nasos.toml to a file with "exchange": {"name": ...}',
        )
    return merged(DEFAULTS, own, _decided(settings, api_port, db_url))


def _decided(settings: BotSettings, api_port: int, db_url: str) -> dict[str, object]:
    """What is ours: the operator's file cannot move it."""
    return {
        "bot_name": settings.name,
        "dry_run": settings.dry_run,
        "strategy": settings.strategy,
        "strategy_path": str(STRATEGIES),
        "db_url": db_url,
        "api_server": {
            "enabled": True,
            "listen_ip_address": "127.0.0.1",
            "listen_port": api_port,
            "verbosity": "error",
            "enable_openapi": False,
            "CORS_origins": [],
        },
    }


def read_operator(path: Path, bot: str) -> dict[str, object]:
    """The operator's configuration file, added files included, without empty secret keys.

    Raises:
        BotError: It cannot be read, or it holds secrets; names their keys and the command that stores them.
    """
    config = read_files([path])
    config.pop("add_config_files", None)
    config.pop("$schema", None)
    found = list(secrets_in(config))
    if found:
        raise BotError(
            f"{path} holds secrets: {', '.join(found)}",
            f"nasos bot import {path} --name {bot} moves them into vault",
        )
    _drop_empty(config)
    return config


def secrets_in(config: Mapping[str, object]) -> Iterator[str]:
    """Dotted keys of the secrets in a configuration that are not empty."""
    for place in places(config):
        if place.keys[-1] not in IDENTIFYING and value_at(config, place.keys):
            yield place.dotted
    url = config.get("db_url")
    if isinstance(url, str) and (urlsplit(url).password or "password=" in url):
        yield "db_url"


def _secret_fields(name: str) -> list[str]:
    return [field for field in FIELDS[name] if field not in IDENTIFYING]


def _drop_empty(config: dict[str, object]) -> None:
    for name, section in SECTIONS.items():
        content = config.get(section)
        if isinstance(content, dict):
            for field in _secret_fields(name):
                content.pop(field, None)
