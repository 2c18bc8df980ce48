"""The exchange's key is replaced under the trading bot, with a real freqtrade and the demo exchange's own keys.

As an ordinary user only: docs/rotate.md walks the same way as both.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from fixtures.stack import Walk

pytestmark = pytest.mark.parametrize("stack", ["ordinary"], indirect=True, scope="session")

NAME = "bots/nasos/exchange"


@dataclass(frozen=True)
class Site:
    """The demo exchange's web site for keys."""

    address: str

    def _ask(self, method: str, rest: str = "") -> Any:
        request = urllib.request.Request(f"{self.address}{rest}", method=method)  # noqa: S310  http, on loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  as above
            return json.load(answer)

    def names(self) -> list[str]:
        """Of all keys."""
        return [row["api_key"] for row in self._ask("GET")]

    def make(self, **wanted: str) -> dict[str, str]:
        """A new key."""
        made: dict[str, str] = self._ask("POST", "?" + "&".join(f"{name}={text}" for name, text in wanted.items()))
        return made

    def remove(self, key: dict[str, str]) -> None:
        """Its owner deletes a key."""
        self._ask("DELETE", f"/{key['api_key']}")


@pytest.fixture(scope="module")
def site(bot: Walk) -> Site:
    """Of this stack."""
    port = json.loads((bot.home / "stack.json").read_text())["ports"]["exchange"]
    return Site(f"http://127.0.0.1:{port}/demo/keys")


def replace(bot: Walk, key: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """``nasos rotate api`` with a key on its standard input; the demo's orders may wait for their price for minutes."""
    return bot.nasos("rotate", "api", "--now", *options, stdin=json.dumps(key), check=False)


@pytest.fixture(scope="module")
def current(bot: Walk, site: Site) -> dict[str, str]:
    """A key that the bot has, with no living key before it; the pages may have left one there."""
    before = site.names()
    key = site.make()
    done = replace(bot, key)
    assert "confirmed" in done.stdout, done.stdout + done.stderr
    for name in before:
        site.remove({"api_key": name})
    assert bot.nasos("rotate", "api", "--old-deleted").returncode == 0
    return key


def open_trades(bot: Walk) -> set[int]:
    """The numbers of the bot's open trades."""
    status, _, body = bot.https("/api/v1/status", bot.bearer)
    assert status == 200
    return {trade["trade_id"] for trade in json.loads(body) if trade["is_open"]}


def keys(bot: Walk) -> dict[str, Any]:
    """What ``nasos rotate keys`` says of this bot's."""
    [row] = bot.json("rotate", "keys")
    found: dict[str, Any] = row
    return found


def test_what_speaks_against_a_key_leaves_everything_as_it_was(bot: Walk, site: Site, current: dict[str, str]) -> None:
    """May withdraw, may not trade, wrong secret, unknown, the one in use, no key at all: refused, nothing written."""
    before = keys(bot)
    read_only, withdraws = site.make(trade="false"), site.make(withdraw="true")
    tries: list[tuple[dict[str, str], int, str]] = [
        (withdraws, 3, "it may withdraw"),
        (read_only, 3, "it may not trade"),
        (site.make() | {"secret": "0" * 64}, 3, "the secret does not belong"),
        ({"api_key": "f" * 64, "secret": "0" * 64}, 3, "binance refuses the key …ffff"),
        (current, 2, "is the one that is in use"),
        ({"api_key": "f" * 64}, 2, "no secret was given"),
        ({"api_kee": "f" * 64}, 2, "a field that freqtrade does not know"),
    ]
    for key, code, words in tries:
        done = replace(bot, key)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr
        assert "ffffffff" not in done.stdout + done.stderr
    assert keys(bot) == before


def test_a_key_is_replaced_while_the_bot_trades_on(bot: Walk, site: Site, current: dict[str, str]) -> None:
    """Proven, delivered, seen; the trades stay open; what is left to do is kept in mind until the old key is dead."""
    trades, pid, since = open_trades(bot), bot.pid("bot"), keys(bot)
    new = site.make()
    done = replace(bot, new)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the exchange accepts the key" in done.stdout
    assert "bot nasos confirmed" in done.stdout
    assert "still alive: delete it at the exchange" in done.stdout
    assert open_trades(bot) >= trades
    assert bot.healthy()
    assert bot.pid("bot") == pid
    row = keys(bot)
    assert row["version"] == since["version"] + 1
    assert row["old_alive"] == ["…" + current["api_key"][-4:]]
    assert (row["rights"], row["bound"]) == (["read", "trade"], True)
    assert bot.nasos("rotate", "--api", check=False).returncode == 1

    alive = bot.nasos("rotate", "api", "--old-deleted", check=False)
    assert (alive.returncode, "still accepts it" in alive.stdout) == (1, True)
    site.remove(current)
    assert bot.nasos("rotate", "api", "--old-deleted").returncode == 0
    assert keys(bot)["old_alive"] == []
    assert bot.nasos("rotate", "keys", "--probe").returncode == 0

    told = (bot.home / "log" / "rotate.log").read_text() + json.dumps(bot.json("ledger", "show", "-n", "400"))
    for secret in (*current.values(), *new.values()):
        assert secret not in told + done.stdout + done.stderr


def test_a_key_that_can_take_money_out_is_taken_by_name_and_that_is_told(bot: Walk, site: Site) -> None:
    """``--allow-withdraw`` is an event; the rollback to a key that was deleted is refused and changes nothing."""
    old = {"api_key": bot.secret(NAME, "api_key")}
    new = site.make(withdraw="true")
    assert replace(bot, new, "--allow-withdraw").returncode == 1
    [*_, event] = [row for row in bot.json("ledger", "show", "-n", "100") if row["event"] == "rotation.override"]
    assert "withdraw" in event["detail"]["allowed"]
    site.remove(old)
    version = keys(bot)["version"]
    back = bot.nasos("rotate", "rollback", NAME, check=False)
    assert back.returncode == 1, back.stdout + back.stderr
    assert "withdrawn: the exchange refuses the key" in back.stdout
    assert keys(bot)["version"] == version
    assert bot.nasos("rotate", "api", "--old-deleted").returncode == 0
