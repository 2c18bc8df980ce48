"""The bot's database connections follow the credential page, against a real PostgreSQL with TLS and SCRAM only."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.postgres import BotDatabase, PostgresUnderTest
from nasos.bot.credential import Credential, CredentialPage
from nasos.bot.database import completed
from nasos.database import Login, can_login
from nasos.tls.dev_ca import DevCa
from simulators.launched import SIMULATORS

PROJECT = SIMULATORS.parents[1]
WHO = "SELECT session_user, current_user"


class Pool:
    """A program with an SQLAlchemy pool, in the bot's own virtual environment."""

    def __init__(self, url: str, page: CredentialPage) -> None:
        fd = os.open(f"/proc/self/fd/{page.fd}", os.O_RDONLY)
        self._process = subprocess.Popen(
            [PROJECT / ".venv-bot/bin/python", "-I", SIMULATORS / "pool.py", PROJECT / "src", completed(url, fd)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd], text=True,
        )  # fmt: skip
        os.close(fd)

    def ask(self, *order: str) -> object:
        """Send one order and return its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def database(postgres: PostgresUnderTest) -> BotDatabase:
    """One bot's database for all tests here."""
    return postgres.bot("testbot")


@pytest.fixture
def page(database: BotDatabase) -> CredentialPage:
    """The page with a fresh login of the first role."""
    return CredentialPage(credential(1, database.set_password("testbot_a")))


@pytest.fixture
def pool(database: BotDatabase, page: CredentialPage) -> Iterator[Pool]:
    """A pool on that page."""
    running = Pool(database.url, page)
    yield running
    running.close()


def credential(version: int, login: Login) -> Credential:
    """As it stands in Vault."""
    return Credential(version, login.username, login.password)


def test_a_connection_logs_in_with_what_is_on_the_page(pool: Pool) -> None:
    """Without user or password in the URL, acting as the owner role."""
    assert pool.ask("query", WHO) == [["testbot_a", "testbot_owner"]]


def test_the_engine_knows_no_secret(pool: Pool) -> None:
    """Neither login nor descriptor is left in its URL; connections are pinged before use."""
    shown = str(pool.ask("show"))
    assert "credfd" not in shown
    assert "testbot_a" not in shown
    assert shown.endswith("True")


def test_a_changed_password_is_used_by_the_next_connection(
    pool: Pool, page: CredentialPage, database: BotDatabase
) -> None:
    """ALTER ROLE, a new page, and a second connection beside the first one."""
    pool.ask("hold", "first")
    page.write(credential(2, database.set_password("testbot_a")))
    assert pool.ask("hold", "second") == [["testbot_a", "testbot_owner"]]
    pool.ask("release", "first")
    pool.ask("release", "second")


def test_a_wrong_password_is_refused(pool: Pool, page: CredentialPage, database: BotDatabase) -> None:
    """The negative twin: it is the page that opens the door, and the error does not show it."""
    good = database.set_password("testbot_a")
    page.write(Credential(2, good.username, type(good.password)("planted-wrong-password-1Z")))
    answer = str(pool.ask("query", WHO))
    assert "password authentication failed" in answer
    assert "planted" not in answer
    page.write(credential(3, good))
    assert pool.ask("query", WHO) == [["testbot_a", "testbot_owner"]]


def test_a_rotation_moves_every_connection_to_the_other_role(
    pool: Pool, page: CredentialPage, database: BotDatabase
) -> None:
    """Tables of the one are the other's too; the old role is empty after each connection's next use."""
    pool.ask("query", "CREATE TABLE IF NOT EXISTS trade (id int); ")
    pool.ask("query", "INSERT INTO trade VALUES (1)")
    page.write(credential(2, database.set_password("testbot_b")))
    assert pool.ask("query", WHO) == [["testbot_b", "testbot_owner"]]
    assert pool.ask("query", "INSERT INTO trade VALUES (2) RETURNING id") == [[2]]
    assert database.users() == {"testbot_b"}


def test_a_transaction_is_finished_before_its_connection_drains(
    pool: Pool, page: CredentialPage, database: BotDatabase
) -> None:
    """The old role loses LOGIN in the middle of a transaction: it commits, and only then moves."""
    old = database.set_password("testbot_a")
    page.write(credential(5, old))
    pool.ask("query", "CREATE TABLE IF NOT EXISTS held (id int)")
    assert pool.ask("hold", "trade") == [["testbot_a", "testbot_owner"]]
    pool.ask("in", "trade", "INSERT INTO held VALUES (1)")
    page.write(credential(6, database.set_password("testbot_b")))
    database.execute("ALTER ROLE testbot_a NOLOGIN")
    assert not can_login(database.server, old)
    assert pool.ask("in", "trade", "INSERT INTO held VALUES (2)") is None
    pool.ask("release", "trade")
    assert pool.ask("query", WHO) == [["testbot_b", "testbot_owner"]]
    assert pool.ask("query", "SELECT count(*) FROM held") == [[2]]
    assert database.users() == {"testbot_b"}


def test_an_ended_connection_is_replaced(pool: Pool, database: BotDatabase) -> None:
    """What kills freqtrade without the plugin: PostgreSQL ends the pooled connection between two uses."""
    pool.ask("query", WHO)
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'testbot%'")
    assert pool.ask("query", WHO) == [["testbot_a", "testbot_owner"]]


def test_a_page_that_cannot_be_read_stops_new_connections_only(pool: Pool, page: CredentialPage) -> None:
    """The pooled connection goes on; a second one says what is missing."""
    pool.ask("query", WHO)
    pool.ask("hold", "only")
    page.close()
    assert pool.ask("in", "only", WHO) == [["testbot_a", "testbot_owner"]]
    assert "holds no database login" in str(pool.ask("hold", "second"))
    pool.ask("release", "only")
    assert pool.ask("query", WHO) == [["testbot_a", "testbot_owner"]]


def test_a_new_connection_waits_for_a_withheld_login(pool: Pool, page: CredentialPage, database: BotDatabase) -> None:
    """What is connected goes on; a new connection is made as soon as the login is given, under the launcher's name."""
    pool.ask("hold", "first")
    page.name("nasos bot 00000000 1 testbot@here")
    page.withhold()
    assert pool.ask("in", "first", WHO) == [["testbot_a", "testbot_owner"]]
    given = threading.Timer(0.5, page.give)
    given.start()
    assert pool.ask("hold", "second") == [["testbot_a", "testbot_owner"]]
    assert not given.is_alive()
    named = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'nasos bot %'"
    assert database.execute(named) == [(1,)]
    for name in ("first", "second"):
        pool.ask("release", name)


def test_a_url_without_descriptor_or_with_a_login_is_refused(database: BotDatabase) -> None:
    """Half a configuration does not start."""
    python = [str(PROJECT / ".venv-bot/bin/python"), "-I", str(SIMULATORS / "pool.py"), str(PROJECT / "src")]
    for url, said in (
        (f"{database.url}&plugin=nasos", "has plugin=nasos but no credfd"),
        (completed(database.url.replace("//", "//x:y@"), 9), "holds a user name or password"),
    ):
        done = subprocess.run([*python, url], capture_output=True, text=True, check=False)
        assert said in done.stderr


def test_verified_tls_refuses_another_servers_certificate(
    database: BotDatabase, page: CredentialPage, tmp_path: Path
) -> None:
    """A CA that did not sign the server: no login is sent."""
    other = DevCa.open(tmp_path, now=datetime.now(UTC)).path
    pool = Pool(database.url.replace(str(database.server.ca_file), str(other)), page)
    assert "certificate verify failed" in str(pool.ask("query", WHO))
    pool.close()
