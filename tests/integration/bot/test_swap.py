"""Records that change in Vault come into use while the real freqtrade trades; what was before is refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasos.bot.poke import poke
from simulators.launched import API, EXCHANGE, JWT, HeldVault, Start, eventually
from simulators.trading import Bot, Ground

QUIET = '''
from freqtrade.strategy import IStrategy

class Quiet(IStrategy):
    """Trades when it is told to."""
    timeframe, stoploss, minimal_roi = "5m", -0.9, {"0": 9}
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
'''
SWAPPED = {(name, "ok", "swapped in place; those of before are refused") for name in ("api", "jwt")}


def renewed(vault: HeldVault, number: int) -> dict[str, str]:
    """Other credentials for the API, in both of its records."""
    for record, fields in (("api", API), ("jwt", JWT)):
        new = {name: value if name == "username" else f"{value}-{number}" for name, value in fields.items()}
        vault.put(record, new)
    fresh: dict[str, str] = vault.records["api"]["fields"]
    return fresh


@contextlib.contextmanager
def trading(directory: Path, python: Path, exchange: int, **options: object) -> Iterator[Bot]:
    """A bot with an open trade."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", EXCHANGE)
    start = Start(directory, vault, python)
    ground = Ground.prepare(start, vault, QUIET, exchange)
    try:
        bot = Bot(ground.run("trade", **options), vault, ground.port, ground.user_data)
        eventually(lambda: bot.state == "running", 120)
        eventually(lambda: entered(bot), 60)
        eventually(lambda: trades(bot) and not ordering(bot), 60)
        yield bot
        assert bot.launched.stop(patience=150) == 130
    finally:
        start.end()
        os.close(vault.fd)


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, bot_python: Path, exchange: int) -> Iterator[Bot]:
    """As every bot runs."""
    with trading(tmp_path_factory.mktemp("swap"), bot_python, exchange) as bot:
        yield bot


def entered(bot: Bot) -> bool:
    """Buy, and have it: a limit order may wait for its price."""
    wish = {"pair": "OAK/USDT", "ordertype": "market"}
    return bot.ask("forceenter", "POST", bot.bearer, wish)[0] == 200


def trades(bot: Bot) -> list[int]:
    """Open trades."""
    return [trade["trade_id"] for trade in json.loads(bot.ask("status", authorization=bot.bearer)[1])]


def ordering(bot: Bot) -> list[int]:
    """Trades with an order that is not filled."""
    open_ones = json.loads(bot.ask("status", authorization=bot.bearer)[1])
    return [trade["trade_id"] for trade in open_ones if trade["has_open_orders"]]


@contextlib.contextmanager
def open_order(bot: Bot) -> Iterator[int]:
    """A trade that waits for a price far away; cancelled at the end."""
    wish = {"pair": "ELM/USDT", "price": 0.01, "ordertype": "limit"}
    answer = bot.ask("forceenter", "POST", bot.bearer, wish)
    assert answer[0] == 200, answer
    number = eventually(lambda: ordering(bot))[0]
    try:
        yield number
    finally:
        # Answered with 502 when it worked: freqtrade looks for the trade that it has just removed (2026.9).
        bot.ask(f"trades/{number}/open-order", "DELETE", bot.bearer)
        eventually(lambda: not ordering(bot))


def reloads(bot: Bot) -> int:
    """How often it loaded its configuration again."""
    return [event.event for event in bot.launched.events()].count("bot.reload")


def told(bot: Bot, count: int) -> tuple[str, str, str]:
    """The newest change, once ``count`` of them are told."""
    eventually(lambda: len(bot.applied) >= count, 120)
    return bot.applied[-1]


def test_new_api_credentials_are_swapped_in_place(bot: Bot) -> None:
    """New ones work, every one of before is refused, and the same process trades on with the same trade."""
    pid, before, count = bot.pid(), trades(bot), len(bot.applied)
    old = bot.vault.records["api"]["fields"]
    tokens = json.loads(bot.log_in(old["password"])[1])
    new = renewed(bot.vault, 1)
    told(bot, count + 2)
    assert set(bot.applied[-2:]) == SWAPPED
    assert bot.log_in(new["password"])[0] == 200
    assert bot.websocket(new["ws_token"]) == 101
    assert bot.log_in(old["password"])[0] == 401
    assert bot.ask("count", authorization=f"Bearer {tokens['access_token']}")[0] == 401
    assert bot.ask("token/refresh", "POST", f"Bearer {tokens['refresh_token']}")[0] == 401
    assert bot.websocket(old["ws_token"]) == 403
    assert (bot.pid(), trades(bot), bot.state) == (pid, before, "running")
    assert reloads(bot) == 0


def test_websockets_that_the_old_credentials_opened_are_closed(bot: Bot) -> None:
    """Also one whose client does not answer; one that is opened with the new token stays."""
    count, old = len(bot.applied), bot.vault.records["api"]["fields"]
    with bot.open_websocket(old["ws_token"]) as listening, bot.open_websocket(bot.bearer[7:]) as with_jwt:
        new = renewed(bot.vault, 2)
        told(bot, count + 2)
        assert set(bot.applied[-2:]) == SWAPPED
        for wire in (listening, with_jwt):
            wire.settimeout(60)
            while wire.recv(4096):  # the close frame, and then the end
                pass
    with bot.open_websocket(new["ws_token"]) as fresh:
        fresh.settimeout(2)
        with pytest.raises(TimeoutError):
            fresh.recv(1)


def test_a_stopped_bot_stays_stopped(bot: Bot) -> None:
    """Over a reload for a new exchange key, which freqtrade would come back from running; the trade stays open."""
    pid, before, count = bot.pid(), trades(bot), len(bot.applied)
    bot.ask("stop", "POST", bot.bearer)
    eventually(lambda: bot.state == "stopped")
    bot.vault.put("exchange", {**EXCHANGE, "secret": "planted-second-secret-1J"})
    how = ("exchange", "ok", "the bot loaded its configuration anew and is stopped")
    assert told(bot, count + 1) == how
    assert (bot.pid(), trades(bot), bot.state) == (pid, before, "stopped")
    bot.ask("start", "POST", bot.bearer)
    eventually(lambda: bot.state == "running")


def test_a_reload_waits_for_an_open_order_unless_somebody_hurries(bot: Bot) -> None:
    """A new exchange key waits until the order is cancelled; the next one is urgent, and comes beside an open order."""
    count, loaded, run = len(bot.applied), reloads(bot), bot.launched.home / "run/bot"
    with open_order(bot):
        bot.vault.put("exchange", {**EXCHANGE, "secret": "planted-patient-secret-1K"})
        eventually(lambda: "waits for an order" in bot.launched.error.read_text(), 60)
        assert (len(bot.applied), reloads(bot)) == (count, loaded)
    assert told(bot, count + 1) == ("exchange", "ok", "the bot loaded its configuration anew and is running")
    with open_order(bot) as number:
        bot.vault.put("exchange", {**EXCHANGE, "secret": "planted-urgent-secret-2L"})
        assert poke(run, "testbot", "exchange", urgent=True)
        assert told(bot, count + 2) == ("exchange", "ok", "the bot loaded its configuration anew and is running")
        assert number in ordering(bot)


def test_a_reload_behind_our_back_gets_todays_secrets(bot: Bot) -> None:
    """As FreqUI and Telegram order it: the bot comes back with what was swapped in, not with what it started with."""
    pid, before, count = bot.pid(), trades(bot), reloads(bot)
    assert bot.ask("reload_config", "POST", bot.bearer)[0] == 200
    eventually(lambda: reloads(bot) == count + 1, 60)
    eventually(lambda: bot.state == "running", 60)
    assert (bot.pid(), trades(bot)) == (pid, before)
    assert bot.log_in(API["password"])[0] == 401


def test_a_record_that_freqtrade_would_refuse_changes_nothing(bot: Bot) -> None:
    """It is told, and the bot goes on with the one before."""
    count, old = len(bot.applied), bot.vault.records["api"]["fields"]
    bot.vault.put("jwt", {"jwt_secret_key": "too-short"})
    name, outcome, how = told(bot, count + 1)
    assert (name, outcome) == ("jwt", "failed")
    assert "shorter than 32 characters" in how
    assert bot.log_in(old["password"])[0] == 200


def test_no_descriptor_of_the_bot_holds_its_document(bot: Bot) -> None:
    """After the start nothing is left to read but the database page, which this bot does not have."""
    found = []
    for entry in Path(f"/proc/{bot.pid()}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(entry.readlink()))
    assert found
    assert [name for name in found if "memfd" in name] == []


def test_plain_http_is_not_answered(bot: Bot) -> None:
    """The API's port speaks TLS and nothing else."""
    assert bot.plain(b"GET /api/v1/ping HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b""


def test_a_renewed_certificate_is_shown_without_a_restart(bot: Bot) -> None:
    """From the next handshake on."""
    from datetime import UTC, datetime

    from nasos.tls import issue_all

    pid = bot.pid()
    with bot.wire() as wire:
        before = wire.getpeercert(binary_form=True)
    issue_all(bot.launched.home / "tls", ["localhost"], now=datetime.now(UTC), force=True)

    def shown() -> bool:
        with bot.wire() as wire:
            return wire.getpeercert(binary_form=True) != before

    eventually(shown, 60)
    assert bot.pid() == pid


def test_a_bot_that_ends_with_a_new_record_runs_with_the_one_before(bot: Bot) -> None:
    """Killed while it was to come into use: put back, and told; so is what freqtrade would have refused before."""
    pid, loaded, version = bot.pid(), reloads(bot), str(bot.vault.records["exchange"]["version"])
    bot.vault.put("exchange", {**EXCHANGE, "secret": "planted-third-secret-8L"})
    eventually(lambda: reloads(bot) > loaded, 60)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: bot.state == "running", 120)
    assert ("exchange", "failed", "the bot ended with it and is started with the one before") in bot.applied
    starts = [event for event in bot.launched.events() if event.event == "bot.start"]
    assert starts[-1].detail["exchange"] == version
    assert starts[-1].detail["jwt"] == str(bot.vault.records["jwt"]["version"] - 1)


def test_a_bot_that_ends_with_a_first_record_runs_without_it(bot: Bot) -> None:
    """Half a chat, as somebody types it field by field: freqtrade refuses it; the bot trades on, and that is told."""
    trades_before = trades(bot)
    bot.vault.put("telegram", {"token": "planted-chat-token-2C"})
    assert poke(bot.launched.home / "run" / "bot", "testbot", "telegram")
    eventually(lambda: ("telegram", "failed", "the bot ended with it and is started without it") in bot.applied, 120)
    eventually(lambda: bot.state == "running", 120)
    assert trades(bot) == trades_before
    starts = [event for event in bot.launched.events() if event.event == "bot.start"]
    assert "telegram" in starts[-2].detail
    assert "telegram" not in starts[-1].detail


@pytest.mark.long
def test_a_freqtrade_with_another_inside_is_reloaded_instead(
    tmp_path: Path, strange_python: Path, exchange: int
) -> None:
    """The swap is refused, the reload does the same work: new ones taken, old ones refused, state and trade kept."""
    with trading(tmp_path, strange_python, exchange) as bot:
        pid, before = bot.pid(), trades(bot)
        new = renewed(bot.vault, 1)
        told(bot, 2)
        how = "the bot loaded its configuration anew and is running"
        assert set(bot.applied) == {("api", "ok", how), ("jwt", "ok", how)}
        assert "no swap: freqtrade" in bot.launched.error.read_text()
        assert bot.log_in(new["password"])[0] == 200
        assert bot.log_in(API["password"])[0] == 401
        assert (bot.pid(), trades(bot)) == (pid, before)


@pytest.mark.long
def test_a_bot_that_reloaded_too_often_is_started_anew(tmp_path: Path, bot_python: Path, exchange: int) -> None:
    """In the state in which it was, with the same trade."""
    with trading(tmp_path, bot_python, exchange, reloads=0) as bot:
        pid, before = bot.pid(), trades(bot)
        bot.ask("stop", "POST", bot.bearer)
        eventually(lambda: bot.state == "stopped")
        bot.vault.put("exchange", {**EXCHANGE, "secret": "planted-second-secret-1J"})
        assert told(bot, 1) == ("exchange", "ok", "the bot is started anew, and stopped")
        eventually(lambda: bot.pid() != pid and bot.state == "stopped", 120)
        assert trades(bot) == before
