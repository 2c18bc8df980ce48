"""A real freqtrade with real orders switched on: which of the exchange's keys it signs with, seen at the exchange."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.launched import API, JWT, HeldVault, Start, eventually
from simulators.trading import Bot, Ground

IDLE = '''
from freqtrade.strategy import IStrategy

class Idle(IStrategy):
    """Never trades: the demo exchange takes no orders."""
    timeframe, stoploss, minimal_roi = "5m", -0.9, {"0": 9}
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
'''


class Keys:
    """The demo exchange's web site for keys."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}/demo/keys"

    def _ask(self, method: str, rest: str = "") -> Any:
        request = urllib.request.Request(f"{self._address}{rest}", method=method)  # noqa: S310  http, on loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
            return json.load(answer)

    def make(self) -> dict[str, str]:
        """A new key."""
        made: dict[str, str] = self._ask("POST")
        return made

    def remove(self, key: dict[str, str]) -> None:
        """Its owner deletes a key."""
        self._ask("DELETE", f"/{key['api_key']}")

    def used(self, key: dict[str, str]) -> int:
        """How many requests it signed that were accepted."""
        return next(int(row["used"]) for row in self._ask("GET") if row["api_key"] == key["api_key"])


@pytest.fixture
def live(tmp_path: Path, bot_python: Path, exchange: int) -> Iterator[tuple[Bot, Keys, dict[str, str]]]:
    """A bot that signs its requests, the exchange's keys, and the one that it has."""
    keys, vault = Keys(exchange), HeldVault()
    first = keys.make()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", first)
    start = Start(tmp_path, vault, bot_python)
    ground = Ground.prepare(start, vault, IDLE, exchange)
    base = start.home / "base.json"
    base.write_text(json.dumps(json.loads(base.read_text()) | {"dry_run": False, "max_open_trades": 0}))
    try:
        bot = Bot(ground.run("trade"), vault, ground.port, ground.user_data)
        eventually(lambda: bot.state == "running", 120)
        yield bot, keys, first
        assert bot.launched.stop(patience=150) == 130
    finally:
        start.end()
        os.close(vault.fd)


def balance(bot: Bot) -> int:
    """The status of the bot's answer about its balance."""
    return bot.ask("balance", authorization=bot.bearer)[0]


def test_the_bot_signs_with_the_new_key_and_not_with_the_old_one(live: tuple[Bot, Keys, dict[str, str]]) -> None:
    """Seen at the exchange; a key with which the bot does not come up is put back, and the one before is used again."""
    bot, keys, first = live
    eventually(lambda: keys.used(first) > 0)
    assert balance(bot) == 200

    second = keys.make()
    bot.vault.put("exchange", second)
    eventually(lambda: bot.applied, 120)
    assert bot.applied[-1] == ("exchange", "ok", "the bot loaded its configuration anew and is running")
    assert keys.used(second) > 0
    before = keys.used(first)
    assert balance(bot) == 200
    assert keys.used(first) == before
    keys.remove(first)
    assert bot.state == "running"

    bot.vault.put("exchange", {"api_key": "f" * 64, "secret": "0" * 64})
    eventually(lambda: len(bot.applied) > 1, 180)
    assert bot.applied[-1][1] == "failed", bot.applied
    eventually(lambda: bot.state == "running", 180)
    used = keys.used(second)
    assert used > 0
    assert balance(bot) == 200
