"""One bot per database, also across hosts, on a real PostgreSQL: another state directory stands for another host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from fixtures.postgres import BotDatabase, PostgresUnderTest
from nasos.bot import advisory
from nasos.bot.advisory import KEY
from nasos.bot.claim import Claim
from nasos.bot.credential import Credential, CredentialPage
from nasos.bot.credential import read as credentials_of
from nasos.bot.report import Report
from nasos.database import Login, connect
from nasos.secret import Redactor, Secret
from simulators.fake_freqtrade import digest
from simulators.launched import API, DATABASE, SECOND_LOGIN, HeldVault, Launched, Start, alive, eventually

LAUNCHERS = "SELECT pid, usename FROM pg_stat_activity WHERE application_name LIKE 'nasos run %'"


@pytest.fixture
def here(start: Start, held_vault: HeldVault, planted_database: BotDatabase) -> Callable[..., Launched]:
    """Start a launcher on this host."""
    held_vault.put("db", DATABASE)
    return lambda act="hang", **options: start(act, **{"database_url": planted_database.url} | options)


@pytest.fixture
def elsewhere(
    tmp_path: Path, held_vault: HeldVault, fake_python: Path, planted_database: BotDatabase
) -> Iterator[Callable[..., Launched]]:
    """Start a launcher with a state directory of its own: the file lock of the first one says nothing there."""
    starter = Start(tmp_path / "elsewhere", held_vault, fake_python)
    yield lambda act="hang", **options: starter(act, **{"database_url": planted_database.url} | options)
    starter.end()


def claims(launched: Launched) -> list[str]:
    """How it fared with the database, by its ledger."""
    return [event.outcome.value for event in launched.events() if event.event == "bot.claim"]


def free(database: BotDatabase) -> bool:
    """Whether nobody has the lock."""
    with connect(database.server, Login(database.admin.username, database.admin.password, database.bot)) as db:
        return bool((db.execute("SELECT pg_try_advisory_lock(%s)", (KEY,)).fetchone() or [None])[0])


@pytest.mark.parametrize("name", ["testbot", "another"])
def test_a_second_launcher_on_another_host_is_refused(
    here: Callable[..., Launched], elsewhere: Callable[..., Launched], name: str
) -> None:
    """Also for a bot of another name; the error names the holder, its bot has no login, and the first goes on."""
    first = here()
    first.first()
    second = elsewhere(bot=name)
    assert second.process.wait(60) == 3
    who = f'a launcher of the bot "testbot" on {socket.gethostname()}, pid {first.process.pid}, has the database'
    assert who in second.error.read_text()
    assert not second.reports()
    assert claims(second) == ["refused"]
    assert first.process.poll() is None
    assert claims(first) == []


def test_a_launcher_on_another_database_is_not_refused(
    here: Callable[..., Launched], elsewhere: Callable[..., Launched], postgres: PostgresUnderTest
) -> None:
    """The negative twin: it is the database that is claimed."""
    here().first()
    other = postgres.bot("otherbot")
    with connect(postgres.server, postgres.admin) as db:
        db.execute("GRANT CONNECT ON DATABASE otherbot TO testbot_a")
    elsewhere(database_url=other.url).first()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_launcher_starts_after_the_holder_is_gone(
    here: Callable[..., Launched], elsewhere: Callable[..., Launched], how: int
) -> None:
    """However it went: the server drops the lock with the session."""
    first = here()
    bot = first.first()["pid"]
    first.process.send_signal(how)
    second = elsewhere()
    assert second.first()["login"] == [1, "testbot_a", digest(DATABASE["password"])]
    assert not alive(bot)


def test_a_restarted_database_changes_nothing_for_the_bot(
    here: Callable[..., Launched], elsewhere: Callable[..., Launched], postgres: PostgresUnderTest
) -> None:
    """The same bot goes on, the lock is taken again, and it is told once that it was lost and once that it is back."""
    first = here()
    pid = first.first()["pid"]
    postgres.restart()
    eventually(lambda: claims(first) == ["failed", "ok"])
    assert [report["pid"] for report in first.reports()] == [pid]
    assert elsewhere().process.wait(60) == 3
    assert first.process.poll() is None


def test_while_the_database_is_away_the_login_is_withheld(
    here: Callable[..., Launched], held_vault: HeldVault, postgres: PostgresUnderTest
) -> None:
    """A bot that starts meanwhile waits for its login, whatever Vault says, and gets it when the database is back."""
    first = here(policy={"first_delay": 0.01, "quick": 0.0})
    pid = first.first()["pid"]
    postgres.kill()
    try:
        eventually(lambda: claims(first) == ["failed"])
        held_vault.put("db", DATABASE)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len([e for e in first.events() if e.event == "bot.start"]) == 2)
        assert len(first.reports()) == 1
    finally:
        postgres.restart()
    eventually(lambda: len(first.reports()) == 2)
    assert first.reports()[1]["login"][0] == 2


def test_a_first_start_without_the_database_waits_for_it(
    here: Callable[..., Launched], postgres: PostgresUnderTest
) -> None:
    """Told, and the bot gets its login as soon as the lock is there."""
    postgres.kill()
    try:
        first = here()
        eventually(lambda: claims(first) == ["failed"])
        assert not first.reports()
    finally:
        postgres.restart()
    first.first()
    assert claims(first) == ["failed", "ok"]


def test_a_launcher_that_finds_its_lock_taken_stops_its_bot(
    here: Callable[..., Launched], planted_database: BotDatabase
) -> None:
    """Whoever has the lock is right: the bot is stopped in good order, exit 3, and the ledger knows why."""
    first = here()
    pid = first.first()["pid"]
    server, admin = planted_database.server, planted_database.admin
    with connect(server, Login(admin.username, admin.password, planted_database.bot)) as db:
        queue = threading.Thread(target=db.execute, args=("SELECT pg_advisory_lock(%s)", (KEY,)))
        queue.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: planted_database.execute(waiting))
        planted_database.execute(LAUNCHERS.replace("pid, usename", "pg_terminate_backend(pid)"))
        queue.join(30)
        assert first.process.wait(60) == 3
    assert not alive(pid)
    assert claims(first) == ["failed", "refused"]
    assert "has the database of this bot" in first.error.read_text()


def test_a_new_login_takes_the_lock_over_without_a_gap(
    here: Callable[..., Launched], held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """The old role's session is closed, so that the role can be retired, and nobody got in between."""
    first = here()
    first.first()
    eventually(lambda: {user for _, user in planted_database.execute(LAUNCHERS)} == {"testbot_a"})
    seen: list[bool] = []
    with contextlib.ExitStack() as stack:
        login = Login(planted_database.admin.username, planted_database.admin.password, planted_database.bot)
        db = stack.enter_context(connect(planted_database.server, login))

        def moved() -> bool:
            seen.append(bool((db.execute("SELECT pg_try_advisory_lock(%s)", (KEY,)).fetchone() or [None])[0]))
            return {user for _, user in planted_database.execute(LAUNCHERS)} == {"testbot_b"}

        held_vault.put("db", SECOND_LOGIN)
        eventually(moved)
    assert not any(seen)
    assert claims(first) == []


def test_a_new_login_that_is_refused_leaves_the_lock_where_it_is(
    here: Callable[..., Launched], held_vault: HeldVault, planted_database: BotDatabase
) -> None:
    """Told once; and taken over as soon as the login works."""
    first = here()
    first.first()
    eventually(lambda: planted_database.execute(LAUNCHERS))
    held_vault.put("db", {**SECOND_LOGIN, "password": "planted-wrong-password-8D"})
    eventually(lambda: b"stays with the old login" in first.error.read_bytes())
    assert {user for _, user in planted_database.execute(LAUNCHERS)} == {"testbot_a"}
    held_vault.put("db", SECOND_LOGIN)
    eventually(lambda: {user for _, user in planted_database.execute(LAUNCHERS)} == {"testbot_b"})
    assert first.error.read_bytes().count(b"stays with the old login") == 1
    assert claims(first) == []


def test_a_mistake_of_ours_is_told_and_tried_again(
    planted_database: BotDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login stays withheld meanwhile, and is given when it goes well."""
    told: list[tuple[str, str]] = []
    credential = Credential(1, DATABASE["username"], Secret(DATABASE["password"]))
    page = CredentialPage(credential, withheld=True)
    report = Report("testbot", lambda *event: told.append((event[0], event[2].value)), lambda _text: None, Redactor())
    claim = Claim(planted_database.url, page, report, lambda: None)
    try:
        monkeypatch.setattr(advisory, "KEY", object())
        claim.use(credential)
        eventually(lambda: ("bot.claim", "failed") in told)
        assert not any(os.pread(page.fd, 10, 0))
        monkeypatch.undo()
        assert credentials_of(page.fd, 30).username == DATABASE["username"]
    finally:
        claim.close()
        page.close()


def test_a_bot_that_its_launcher_left_behind_is_waited_for(
    here: Callable[..., Launched], planted_database: BotDatabase
) -> None:
    """Its session is seen in the database: refused while it is there, started when it is gone."""
    left = psycopg.connect(
        host="127.0.0.1", port=planted_database.server.port, dbname=planted_database.bot, sslmode="verify-full",
        sslrootcert=str(planted_database.server.ca_file), user=DATABASE["username"], password=DATABASE["password"],
        application_name="nasos bot 00000000 77 testbot@lost.example",
    )  # fmt: skip
    with left:
        refused = here()
        assert refused.process.wait(60) == 3
        said = refused.error.read_text()
        assert (
            'a bot that its launcher left behind of the bot "testbot" on lost.example, pid 77, has the database' in said
        )
        assert free(planted_database)
    here().first()


def test_without_postgresql_the_launcher_says_that_only_this_machine_is_watched(start: Start) -> None:
    """SQLite or none: the file lock alone."""
    launched = start()
    launched.first()
    eventually(lambda: "keeps a second bot off this machine" in launched.error.read_text())
    assert API["password"] not in launched.error.read_text()
