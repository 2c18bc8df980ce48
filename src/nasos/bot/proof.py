"""Which credentials a bot's API takes, shown by what it does: the new ones work, none of before does."""

from __future__ import annotations

from collections.abc import Mapping

from nasos.bot.api import BotApi
from nasos.bot.packed import inner
from nasos.errors import BotError
from nasos.secret import Secret


def prove(api: BotApi, before: Mapping[str, Secret], token: Secret | None, now: Mapping[str, Secret]) -> None:
    """Try what opened it before and what does now; ``token`` is one that a login of before gave.

    Raises:
        BotError: It refuses the new ones, takes some of before, or gives no answer.
    """
    fresh = api.log_in(now)
    if fresh is None or not api.accepts(fresh):
        raise BotError("the bot refuses its new credentials")
    if token and before["jwt_secret_key"] != now["jwt_secret_key"] and api.accepts(token):
        raise BotError("the bot still takes a token that its key of before signed")
    if before["password"] != now["password"] and api.log_in(before) is not None:
        raise BotError("the bot still takes its password of before")
    wanted = _tokens(now)
    if not all(api.opens(token) for token in wanted):
        raise BotError("the bot refuses its new websocket token")
    if any(api.opens(token) for token in _tokens(before) if token not in wanted):
        raise BotError("the bot still takes a websocket token of before")


def _tokens(login: Mapping[str, Secret]) -> list[Secret]:
    """Each websocket token of a record; there may be several, so that old and new ones overlap."""
    return list(inner([login["ws_token"]])) if login.get("ws_token") else []
