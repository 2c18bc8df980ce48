"""freqtrade's configuration gets our document whenever it is loaded, and strategies do not see it in the copy.

Rules:

* The document is asked for at each load and laid over the operator's files: also a reload that the launcher did not
  order (FreqUI, Telegram's ``/reload_config``) works. No file and no descriptor ever holds it.
* ``config["original_config"]``, which strategies see and backtest archives contain, holds no secret.
* A load that went another way than the one that we know is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from nasos.bot.configuration import merged
from nasos.bot.inside.familiar import unfamiliar
from nasos.bot.known import places, remove

Fetch: TypeAlias = Callable[[], Mapping[str, object]]
"""Asks for the document, and learns its secrets."""
Loaded: TypeAlias = Callable[[Mapping[str, Any]], None]
"""Told the whole configuration before anything is made of it."""


def feed(fetch: Fetch, loaded: Loaded) -> None:
    """Lay the document over whatever freqtrade reads from files, from now on.

    Raises:
        BotError: freqtrade reads its configuration in another way than the one that we know.
    """
    from freqtrade.configuration import configuration as its

    read: Callable[..., dict[str, Any]] | None = getattr(its, "load_from_files", None)
    load: Callable[[Any], dict[str, Any]] | None = getattr(its.Configuration, "load_config", None)
    if not callable(read) or not callable(load):
        raise unfamiliar("Configuration.load_config over load_from_files")
    fed: list[bool] = []

    def load_from_files(*args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  freqtrade is untyped here
        fed.append(True)
        return merged(read(*args, **kwargs), fetch())

    def load_config(self: Any) -> dict[str, Any]:  # noqa: ANN401
        fed.clear()
        config = load(self)
        if not fed or not isinstance(config.get("original_config"), dict):
            raise unfamiliar('config["original_config"] of load_from_files')
        strip(config["original_config"])
        loaded(config)
        return config

    its.load_from_files = load_from_files
    its.Configuration.load_config = load_config


def strip(config: dict[str, Any]) -> None:
    """Remove every secret that freqtrade knows from a configuration, in place."""
    for place in list(places(config)):
        remove(config, place)
