"""The real freqtrade in its own environment: it trades on the demo exchange with secrets that nobody else sees."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.postgres import BotDatabase, PostgresUnderTest
from nasos.database import Login
from simulators.launched import API, EXCHANGE, JWT, HeldVault, Start, eventually, traces
from simulators.trading import Bot, Ground

SPY = '''
import json, pathlib
from freqtrade.strategy import IStrategy

class Spy(IStrategy):
    """Does what a curious strategy does."""
    timeframe, stoploss, minimal_roi = "5m", -0.3, {"0": 1}
    def bot_start(self, **kwargs):
        original = self.config["original_config"]
        seen = {name: sorted(section) for name, section in original.items() if isinstance(section, dict)}
        seen["db_url"] = self.config["db_url"]
        (pathlib.Path(__file__).parent / "seen.json").write_text(json.dumps(seen))
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
'''


@pytest.fixture(scope="module")
def database(postgres: PostgresUnderTest) -> BotDatabase:
    """The bot's PostgreSQL."""
    return postgres.bot("testbot")


@pytest.fixture(scope="module")
def ground(
    tmp_path_factory: pytest.TempPathFactory, bot_python: Path, exchange: int, database: BotDatabase
) -> Iterator[Ground]:
    """Configuration, user directory and Vault of one bot."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", EXCHANGE)
    put_login(vault, database.login)
    start = Start(tmp_path_factory.mktemp("bot"), vault, bot_python)
    yield Ground.prepare(start, vault, SPY, exchange, database.url)
    start.end()
    os.close(vault.fd)


def put_login(vault: HeldVault, login: Login) -> None:
    """As the rotator does."""
    vault.put("db", {"username": login.username, "password": login.password.reveal(), "role": login.username[-1]})


@pytest.fixture(scope="module")
def bot(ground: Ground) -> Iterator[Bot]:
    """It runs, and its strategy is loaded."""
    launched = ground.run("trade", "--logfile", str(ground.user_data / "freqtrade.log"))
    bot = Bot(launched, ground.vault, ground.port, ground.user_data)
    eventually(lambda: bot.ask("ping")[0] == 200 and (ground.user_data / "strategies/seen.json").exists(), 120)
    yield bot
    assert launched.stop(patience=150) == 130


def test_the_api_takes_the_injected_password_and_no_other(bot: Bot) -> None:
    """Login works with what is in Vault."""
    assert bot.log_in(API["password"])[0] == 200
    assert bot.log_in("wrong")[0] == 401


def test_the_websocket_takes_the_injected_token_and_no_other(bot: Bot) -> None:
    """And neither token is in the log, the log file or the API's view of the log."""
    assert bot.websocket(API["ws_token"]) == 101
    assert bot.websocket("guessed-websocket-token") == 403
    jwt = bot.bearer.removeprefix("Bearer ")
    assert bot.websocket(jwt) == 101
    status, shown = bot.ask("logs", authorization=bot.bearer)
    assert status == 200
    for text in (bot.launched.error.read_bytes(), (bot.user_data / "freqtrade.log").read_bytes(), shown):
        assert b"freqtrade" in text
        assert b"token=" not in text
        assert not traces(text, (API["ws_token"], "guessed-websocket-token", jwt))


def test_nothing_that_the_bot_shows_holds_a_secret(bot: Bot) -> None:
    """Output, log file, configuration by API, environment and arguments."""
    shown = bot.ask("show_config", authorization=bot.bearer)[1]
    process = Path(f"/proc/{bot.pid()}")
    texts = [shown, (process / "environ").read_bytes(), (process / "cmdline").read_bytes()]
    texts += [path.read_bytes() for path in bot.launched.home.rglob("*") if path.is_file()]
    texts += [bot.launched.out.read_bytes(), bot.launched.error.read_bytes()]
    assert not [found for text in texts if (found := traces(text, secrets_of(bot.vault)))]


def test_a_strategy_sees_no_secret_in_the_original_configuration(bot: Bot) -> None:
    """Sections are there, secret keys are not, and the database URL holds no login."""
    seen = json.loads((bot.user_data / "strategies/seen.json").read_text())
    assert "listen_port" in seen["api_server"]
    assert not {"username", "password", "jwt_secret_key", "ws_token"} & set(seen["api_server"])
    assert not {"api_key", "key", "secret"} & set(seen["exchange"])
    assert "@" not in seen["db_url"]


def test_the_bot_leaves_no_core_file(bot: Bot) -> None:
    """A crash writes no memory to disk."""
    limits = Path(f"/proc/{bot.pid()}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]


def test_a_rotated_database_login_is_used_while_the_bot_trades(bot: Bot, database: BotDatabase) -> None:
    """The other role takes over, the old one is shut, and the API answers all the time."""
    pid = bot.pid()
    assert "testbot_a" in database.users()
    put_login(bot.vault, database.set_password("testbot_b"))

    def moved() -> bool:
        assert bot.ask("count", authorization=bot.bearer)[0] == 200
        return database.users() == {"testbot_b"}

    eventually(moved, 60)
    database.execute("ALTER ROLE testbot_a NOLOGIN")
    # Idle ones only: ended in mid-transaction, freqtrade exits 1, with the plugin as without (measured).
    idle = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'testbot_%' AND state = 'idle'"
    database.execute(idle)
    eventually(lambda: bot.ask("status", authorization=bot.bearer)[0] == 200)
    assert bot.pid() == pid


def test_show_config_shows_none_even_when_asked(ground: Ground) -> None:
    """``--show-sensitive`` has nothing to show: the secrets are not in what freqtrade prints."""
    launched = ground.run("show-config", "--show-sensitive")
    assert launched.process.wait(60) == 0
    assert '"listen_port"' in launched.out.read_text()
    assert not traces(launched.out.read_bytes() + launched.error.read_bytes(), secrets_of(ground.vault))


def test_a_configuration_error_is_a_failure_and_quotes_no_secret(ground: Ground, tmp_path: Path) -> None:
    """freqtrade exits 0 after it; the launcher does not."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"stake_amount": "all of it"}')
    shutil.copytree(ground.start.home / "tls", tmp_path / "tls")
    launched = ground.run("webserver", "-c", str(wrong), restart=False, home=str(tmp_path))
    assert launched.process.wait(60) == 3
    assert "Configuration error" in launched.error.read_text()
    assert not traces(launched.error.read_bytes(), secrets_of(ground.vault))


def secrets_of(vault: HeldVault) -> list[str]:
    """Every value of Vault that must not be seen."""
    records = vault.records.values()
    return [value for record in records for value in record["fields"].values() if len(value) > 16]
