"""What stands around a configuration: ``.env``, what only looks like a secret, the database, a bot that still runs."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.old_bot import old_bot
from fixtures.stack import until
from nasos.bot.moving.database import split_login, sqlite_file
from nasos.bot.moving.dotenv import configured, variables, without
from nasos.bot.moving.plan import Wish, draw
from nasos.bot.moving.running import signs
from nasos.bot.moving.suspects import suspects, suspicious_text
from nasos.errors import BotError, UsageError

ENV = b"""# comment
TZ=UTC
export FREQTRADE__EXCHANGE__KEY="planted # key"   # mine
FREQTRADE__API_SERVER__JWT_SECRET_KEY=0123456789
FREQTRADE__MAX_OPEN_TRADES=3
FREQTRADE__EXCHANGE__CCXT_CONFIG__httpsProxy='http://u:p@h'
FREQTRADE__EXCHANGE__PRIVATE_KEY="-----BEGIN
of two lines
END-----"
FREQTRADE__EXCHANGE__PAIR_WHITELIST=["BTC/USDT"]
LAST=1"""


def test_variables_are_read_as_freqtrade_does_and_secrets_stay_text() -> None:
    """freqtrade itself would make a number of the JWT key and lose its zero."""
    assert configured(variables(ENV, ".env")) == {
        "exchange": {
            "key": "planted # key",
            "ccxt_config": {"httpsProxy": "http://u:p@h"},
            "private_key": "-----BEGIN\nof two lines\nEND-----",
            "pair_whitelist": ["BTC/USDT"],
        },
        "api_server": {"jwt_secret_key": "0123456789"},
        "max_open_trades": 3,
    }


def test_everything_else_in_the_file_stays_byte_for_byte() -> None:
    """Comments, order, a missing last line end; Windows line ends too."""
    gone = [each for each in variables(ENV, ".env") if "EXCHANGE__" in each.name]
    assert without(ENV, gone) == (
        b"# comment\nTZ=UTC\nFREQTRADE__API_SERVER__JWT_SECRET_KEY=0123456789\nFREQTRADE__MAX_OPEN_TRADES=3\nLAST=1"
    )
    windows = b"A=1\r\nFREQTRADE__TELEGRAM__TOKEN=x\r\nB=2\r\n"
    [token] = [each for each in variables(windows, ".env") if each.keys]
    assert (token.text, without(windows, [token])) == ("x", b"A=1\r\nB=2\r\n")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"freqai": {"api_token": "planted"}}, ["freqai.api_token"]),
        ({"a": [{"b": "Xk29dLq8Zr4Tn7Vw1Ycb"}]}, ["a.0.b"]),
        ({"remote": "https://u:planted@h"}, ["remote"]),
        ({"x": "-----BEGIN PRIVATE KEY-----\nplanted"}, ["x"]),
        ({"api_token": "", "secret": "${SECRET}", "token": "<YOUR_TOKEN>".strip("<>"), "key_name": "exchange"}, []),
        ({"pair_whitelist": ["BTC/USDT"], "strategy": "NASOSv5_mod3_with_a_long_name", "url": "https://host/v3"}, []),
        ({"db_url": "postgresql+psycopg://127.0.0.1:5432/mine?sslmode=verify-full"}, []),
    ],
)
def test_what_looks_like_a_secret_is_named_and_never_shown(content: dict[str, object], found: list[str]) -> None:
    """By name, shape or randomness; placeholders and ordinary settings are none."""
    seen = list(suspects(content))
    assert [key for key, _ in seen] == found
    assert "planted" not in repr(seen)
    assert suspicious_text("// a comment of mine about nothing") is None


def test_the_database_is_found_where_freqtrade_opened_it_or_not_guessed(tmp_path: Path) -> None:
    """Beside the configuration, where the bot was started, or where its container's directory lies."""
    near, here = tmp_path / "ft" / "user_data", tmp_path / "here"
    near.mkdir(parents=True)
    here.mkdir()
    places = {"dry_run": True, "near": near, "here": here}
    with pytest.raises(BotError, match="was not found") as missing:
        sqlite_file(None, **places)  # type: ignore[arg-type]  # as named above
    assert "--database" in (missing.value.hint or "")
    for path in (near / "tradesv3.sqlite", near.parent / "tradesv3.dryrun.sqlite"):
        path.touch()
    assert sqlite_file("sqlite:////freqtrade/user_data/tradesv3.sqlite", **places) == near / "tradesv3.sqlite"  # type: ignore[arg-type]  # as named above
    assert sqlite_file(None, **places) == near.parent / "tradesv3.dryrun.sqlite"  # type: ignore[arg-type]  # as named above
    assert sqlite_file("sqlite://", **places) is None  # type: ignore[arg-type]  # as named above
    (here / "tradesv3.dryrun.sqlite").touch()
    with pytest.raises(BotError, match=r"may be .* or "):
        sqlite_file(None, **places)  # type: ignore[arg-type]  # as named above


def test_the_login_of_a_postgresql_url_becomes_the_record() -> None:
    """The URL stays without it; a server that would not be verified, and other databases, are refused."""
    clean, login = split_login("postgresql+psycopg://me:p%40ss@db:5433/ft?sslmode=verify-full")
    assert clean == "postgresql+psycopg://db:5433/ft?sslmode=verify-full"
    assert {name: value.reveal() for name, value in login.items()} == {"username": "me", "password": "p@ss"}
    with pytest.raises(BotError, match="verify"):
        split_login("postgresql://me:planted@db/ft")
    with pytest.raises(UsageError, match="another kind"):
        split_login("mysql://me:planted@db/ft")


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Path]:
    """A database in WAL mode that another process has open, without any transaction."""
    path = tmp_path / "trades.sqlite"
    code = (
        "import sqlite3, sys, time; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA journal_mode=wal');"
        "db.execute('CREATE TABLE t (x)'); db.commit(); open(sys.argv[1] + '.ready', 'w'); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    until(lambda: Path(f"{path}.ready").exists(), 60)
    yield path
    process.kill()
    process.wait()


def test_who_has_the_database_open_is_seen_also_by_its_lock_alone(holder: Path, tmp_path: Path) -> None:
    """An idle connection holds a lock on the ``-shm`` file, which /proc/locks shows of every process."""
    seen = [sign.text for sign in signs(holder, [], None)]
    assert any("has the database open" in text for text in seen)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "locks").write_text(Path("/proc/locks").read_text())
    assert any("holds a lock on the database" in sign.text for sign in signs(holder, [], None, tmp_path / "proc"))


def test_a_database_that_nobody_has_open_shows_no_sign(tmp_path: Path) -> None:
    """The negative twin, with this very process's own connection, which does not count."""
    path = tmp_path / "trades.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
        assert list(signs(path, [], ("127.0.0.1", 1))) == []


def test_a_process_that_looks_like_this_bot_counts_until_it_is_told_apart(tmp_path: Path) -> None:
    """By its command line; its arguments, which may hold a password, are not shown."""
    config = tmp_path / "config.json"
    config.touch()
    link = tmp_path / "freqtrade"
    link.write_text("import time; time.sleep(600)")
    argv = [sys.executable, str(link), "trade", "-c", str(config), "--db-url", "postgresql://u:planted@h/d"]
    with subprocess.Popen(argv) as process:
        found = until(lambda: list(signs(None, [config], None)), 30)
        process.kill()
    assert [(sign.text, sign.certain) for sign in found] == [
        (f"process {process.pid} looks like this bot: {Path(sys.executable).name} freqtrade trade", False)
    ] or all("planted" not in sign.text and not sign.certain for sign in found)


def test_a_plan_shows_names_and_is_the_same_each_time(tmp_path: Path) -> None:
    """Nothing is changed, nothing is shown that opens anything."""
    old = old_bot(tmp_path / "ft")
    before = old.snapshot()
    wish = Wish(bot="mine", configs=(old.config,), env=old.env, trades="keep")
    plans = [draw(wish, Path.read_bytes, None, (), tmp_path) for _ in range(2)]
    assert plans[0] == plans[1]
    assert old.snapshot() == before
    shown = "\n".join((*plans[0].steps(), *plans[0].remarks, *plans[0].findings, repr(plans[0])))
    assert "planted" not in shown
    assert "api_server.ws_token in" in shown
    assert "2 comments" in shown
    os.utime(old.config)
