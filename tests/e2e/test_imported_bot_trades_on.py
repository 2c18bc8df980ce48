"""An old bot moves into a stack of its own and trades on: the same trades, its own strategy and login, no second bot.

As the first walker only; that an import's commands run for both is seen by tests/e2e/test_docs.py.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fixtures.old_bot import PLANTED, OldBot, old_bot, write_trades
from fixtures.stack import WALKERS, Walk, api_login, free_base_port, until
from nasos.stack.demo_exchange import ccxt_config

pytestmark = pytest.mark.parametrize("stack", WALKERS[:1], indirect=True, scope="session")

STRATEGY = '''
from freqtrade.strategy import IStrategy

class Patient(IStrategy):
    """Buys nothing, and sells with five per cent of profit."""
    timeframe, stoploss, minimal_roi, startup_candle_count = "5m", -0.99, {"0": 0.05}, 1
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
'''

HELD, WINNER = "OAK/USDT", "DOGWOOD/USDT"
"""Open trades of the old bot: bought at two thousand where the market stands at some hundreds, and far in profit."""

SETTINGS: dict[str, Any] = {
    "order_types": {"entry": "limit", "exit": "market", "stoploss": "limit", "stoploss_on_exchange": False},
    "exit_pricing": {"price_side": "other", "use_order_book": True, "order_book_top": 1},
    "internals": {"process_throttle_secs": 1},
}
"""Of the old bot's configuration, which moves in, too: it sells at once, at what is offered."""


@dataclass
class Imported:
    """The old installation, and the stack that it moved into."""

    old: OldBot
    walk: Walk
    before: dict[str, tuple[bytes, int, int]]
    """Every file of the old installation before the import."""
    trades: Path
    """The old bot's database, another copy of it: looking into one changes it."""

    def api(self, path: str) -> Any:
        """An answer of the bot's, through the front door."""
        status, _, body = self.walk.https(f"/api/v1/{path}", self.walk.bearer)
        assert status == 200, (path, status)
        return json.loads(body)


@pytest.fixture(scope="module")
def place(stack: Walk) -> Iterator[Walk]:
    """A stack of its own beside the first, up for the first time with the bot that it comes with."""
    directory = stack.project.parent / "moved"
    directory.mkdir()
    (directory / "nasos").symlink_to(stack.project / "nasos")
    environment = stack.environment | {
        "NASOS_HOME": str(directory / "state"), "NASOS_KEY_DIR": str(directory / "key"),
    }  # fmt: skip
    walk = replace(stack, project=directory, home=directory / "state", port=free_base_port(), environment=environment)
    python = (stack.project / ".venv-bot" / "bin" / "python").absolute()
    (directory / "nasos.toml").write_text(f'[bot]\npython = "{python}"\n')
    if walk.user:
        subprocess.run(["/usr/bin/chown", "-R", walk.user, str(directory)], check=True)
    try:
        walk.nasos("up", "--port", str(walk.port))
        yield walk
    finally:
        walk.nasos("down", check=False)
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def imported(stack: Walk, place: Walk) -> Imported:
    """Imported, named in nasos.toml as the page says, and started by ``up``; its market is the first stack's."""
    trades = write_trades(
        place.project / "old.sqlite", stack.project / ".venv-bot" / "bin" / "python", f"{HELD}=2000"
    )  # fmt: skip
    exchange = ccxt_config(stack.port + 4)
    exchange["key"] = PLANTED["exchange.key"]
    old = old_bot(place.project / "freqtrade", trades, exchange=exchange, **SETTINGS)
    strategies = place.home / "bot" / "mine" / "user_data" / "strategies"
    python = (stack.project / ".venv-bot" / "bin" / "python").absolute()
    if place.user:
        subprocess.run(["/usr/bin/chown", "-R", place.user, str(old.place)], check=True)
    before = old.snapshot()
    place.nasos("bot", "import", str(old.config), "--env", str(old.env), "--name", "mine")
    place.run("/bin/sh", "-euc", f"mkdir -p {strategies}; cat > {strategies}/Patient.py", stdin=STRATEGY)
    settings = {"name": "mine", "exchange": "config", "config": old.config, "strategy": "Patient", "python": python}
    (place.project / "nasos.toml").write_text(
        "\n".join(["[bot]", *(f'{name} = "{value}"' for name, value in settings.items()), ""])
    )
    place.nasos("up")
    until(lambda: api_login(place, "me", PLANTED["api.password"]), 120)  # the old password opens the bot itself
    return Imported(old, place, before, trades)


def test_the_same_trades_are_open(imported: Imported) -> None:
    """Who knows the old password is let in and finds the old bot's strategy, stake and open trades, to the digit."""
    shown = imported.api("show_config")
    assert (shown["state"], shown["strategy"], shown["bot_name"]) == ("running", "Patient", "mine")
    assert float(shown["stake_amount"]) == 50
    assert imported.walk.healthy()
    with closing(sqlite3.connect(imported.trades)) as database:
        columns = "id, pair, open_rate, amount, enter_tag"
        [old] = database.execute(f"SELECT {columns} FROM trades WHERE pair = ?", [HELD])  # noqa: S608  our own names
        closed = database.execute("SELECT count(*) FROM trades WHERE NOT is_open").fetchone()[0]
    [held] = [trade for trade in imported.api("status") if trade["pair"] == HELD]
    assert tuple(held[name] for name in ("trade_id", *columns.split(", ")[1:])) == old
    assert imported.api("trades?limit=500")["total_trades"] >= closed == 3


def test_it_trades_on(imported: Imported) -> None:
    """The winner of before is sold by the strategy's own rule; the held one is valued at the market of today."""

    def sold() -> Any:
        found = [trade for trade in imported.api("trades?limit=500")["trades"] if trade["pair"] == WINNER]
        return [trade for trade in found if not trade["is_open"]]

    [winner] = until(sold, 300)
    assert winner["exit_reason"] == "roi"
    assert winner["open_rate"] == 0.477483
    assert winner["close_profit"] > 0.05

    def valued() -> float:
        return float(next(trade for trade in imported.api("status") if trade["pair"] == HELD)["current_rate"])

    before = valued()
    assert 0 < before < 2000
    until(lambda: valued() != before, 300)


def test_there_is_one_bot_and_the_old_files_are_as_they_were(imported: Imported) -> None:
    """One process works on this database; the market's program and the first bot are gone; SQLite is untouched."""
    walk = imported.walk
    names = {entry["name"] for entry in walk.json("status")["programs"]}
    assert "exchange" not in names
    launchers = [words for words in command_lines() if "--bot" in words and str(walk.home) in " ".join(words)]
    assert [words[words.index("--bot") + 1] for words in launchers] == ["mine"]
    bots = [words for words in command_lines() if "nasos.bot.entry" in words and str(walk.home) in " ".join(words)]
    assert len(bots) == 1
    after = imported.old.snapshot()
    changed = {name for name in imported.before if imported.before[name] != after[name]}
    assert changed == {"user_data/config.json", ".env"}
    moved = [event for event in walk.json("ledger", "show", "-n", "500") if event["event"] == "bot.import"]
    assert [(event["target"], event["outcome"]) for event in moved] == [("mine", "ok")]


def command_lines() -> Iterator[list[str]]:
    """Of every process of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes().decode(errors="replace").split("\0")
