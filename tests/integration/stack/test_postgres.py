"""The embedded PostgreSQL: made whole or not at all, provisioned from wherever a run was killed, closed to all else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from canary import Canary
from fixtures.postgres import OWNER, PostgresUnderTest, Process, server_below
from fixtures.stack import until
from nasos import database
from nasos.errors import DatabaseError
from nasos.secret import Secret
from nasos.stack import postgres as pg
from nasos.tls.dev_ca import DevCa

PROVISION = """
import json, os, signal, sys
from pathlib import Path
import psycopg
from nasos.secret import Secret
from nasos import database
from nasos.stack import postgres as pg

told = json.load(sys.stdin)
execute = psycopg.Connection.execute

def provision(bot, password, left):
    def killed_after_some(self, *arguments, **options):
        nonlocal left
        result = execute(self, *arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    psycopg.Connection.execute = killed_after_some
    server = pg.Server(told["port"], Path(told["ca"]), Path(told["data"]))
    admin = database.Login(told["admin"], Secret(told["admin_password"]))
    pg.provision(server, admin, bot, database.Login(bot + "_a", Secret(password), bot))

for number, (bot, password) in enumerate(told["bots"].items(), 1):
    child = os.fork()
    if not child:
        provision(bot, password, number)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

INITDB = """
import json, sys
from pathlib import Path
from nasos import database
from nasos.secret import Secret
from nasos.stack import postgres as pg
data, owner = json.loads(sys.argv[1])
admin = database.Login("nasos_admin", Secret("planted-admin-password"))
pg.initialize(pg.Server(1, Path("/none"), Path(data), owner), admin)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the server's user can reach."""
    path = Path(tempfile.mkdtemp(prefix="nasos-cluster-"))
    yield path
    shutil.rmtree(path)


def _killed_after_each_statement(postgres: PostgresUnderTest, logins: list[database.Login]) -> list[int]:
    """Exit codes of one provisioning per login, the first killed after one statement, the second after two ..."""
    told = {
        "data": str(postgres.server.data), "port": postgres.server.port, "ca": str(postgres.server.ca_file),
        "admin": postgres.admin.username, "admin_password": postgres.admin.password.reveal(),
        "bots": {login.database: login.password.reveal() for login in logins},
    }  # fmt: skip
    command = [sys.executable, "-c", PROVISION]
    done = subprocess.run(command, input=json.dumps(told), stdout=subprocess.PIPE, text=True, check=True)
    return [int(code) for code in done.stdout.split()]


def _public_may_connect(postgres: PostgresUnderTest, bot: str) -> bool:
    with database.connect(postgres.server, postgres.admin) as db:
        row = db.execute("SELECT has_database_privilege('public', %s, 'CONNECT')", (bot,)).fetchone()
    return bool(row and row[0])


def test_provisioning_killed_at_every_step_completes_when_repeated(postgres: PostgresUnderTest) -> None:
    """kill -9 after each statement in turn: the next run ends with a login that works and nothing open to PUBLIC."""
    logins = [database.Login(f"killed{number}_a", Secret.random(), f"killed{number}") for number in range(1, 15)]
    codes = _killed_after_each_statement(postgres, logins)
    assert codes[:10] == [-signal.SIGKILL] * 10
    assert codes[-1] == 0, "the last ones were to be killed after more statements than there are"
    for login in logins[: codes.index(0) + 1]:
        pg.provision(postgres.server, postgres.admin, login.database, login)
        assert not _public_may_connect(postgres, login.database)
        with database.connect(postgres.server, login) as db:
            row = db.execute("SELECT session_user, current_user").fetchone()
        assert row == (login.username, f"{login.database}_owner")


def test_provisioning_again_changes_nothing(postgres: PostgresUnderTest) -> None:
    """On a provisioned cluster nothing is reported as changed, and the login is the same."""
    assert pg.provision(postgres.server, postgres.admin, "nasos", postgres.login) == []
    assert database.can_login(postgres.server, postgres.login)


def test_a_lost_membership_and_an_opened_database_are_put_right(postgres: PostgresUnderTest) -> None:
    """What somebody changed by hand is as it should be after the next run."""
    bot = postgres.bot("drifted")
    bot.execute("REVOKE drifted_owner FROM drifted_a")
    bot.execute("GRANT CONNECT ON DATABASE drifted TO PUBLIC")
    pg.provision(postgres.server, postgres.admin, "drifted", bot.login)
    assert not _public_may_connect(postgres, "drifted")
    with database.connect(postgres.server, bot.login) as db:
        assert db.execute("SELECT current_user").fetchone() == ("drifted_owner",)


@pytest.mark.parametrize("group", [True, False], ids=["with its initdb", "alone, its initdb goes on"])
def test_initdb_killed_half_way_completes_when_repeated(place: Path, *, group: bool) -> None:
    """kill -9 of the run that makes the cluster: nothing half-made is taken for a cluster, the next run makes it."""
    server = server_below(place)
    child = subprocess.Popen(
        [sys.executable, "-c", INITDB, json.dumps([str(server.data), OWNER])], start_new_session=True
    )
    until(lambda: list(place.glob("pg/*/global/pg_control")) or list(place.glob("pg/*/base/1")), 30)
    assert not server.data.exists()
    if group:
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()
    assert not server.data.exists()
    admin = database.Login(pg.ADMIN, Secret.random())
    assert pg.initialize(server, admin) is True
    assert pg.initialize(server, admin) is False
    pg.configure(server, place / "tls")
    process = Process(server, place / "log")
    process.start(admin)
    process.stop()
    until(lambda: not _processes_in(place), 30)
    assert pg.initialize(server, admin) is False  # clears what an orphaned initdb wrote after the first look
    assert [path.name for path in (place / "pg").iterdir()] == ["data"]


def _processes_in(place: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(place) in command:
            found.append(command)
    return found


def test_a_password_is_nowhere_but_in_vault(postgres: PostgresUnderTest) -> None:
    """Server log, WAL, data files, pg_stat_activity and every process are clean, with every statement logged."""
    planted, plain = database.Login("nasos_b", Secret.random(), "nasos"), Secret.random()
    canary = Canary({
        "admin": postgres.admin.password.reveal().encode(),
        "bot": postgres.login.password.reveal().encode(),
        "planted": planted.password.reveal().encode(),
    })  # fmt: skip
    with database.connect(postgres.server, postgres.admin) as db:
        db.execute("SET log_statement = 'all'")
        database.set_password(db, planted)
        shown = _activity(postgres)
        assert "ALTER ROLE" in shown
        assert planted.password.reveal() not in shown
        assert list(canary.in_processes()) == []
        # The negative twin: what a plain ALTER ROLE shows, in both places, is seen by the same look.
        statement = sql.SQL("ALTER ROLE nasos_b PASSWORD {}").format(sql.Literal(plain.reveal()))
        db.execute(statement)
        assert plain.reveal() in _activity(postgres)
        db.execute("ALTER ROLE nasos_b NOLOGIN PASSWORD NULL")
        db.execute("CHECKPOINT")
    assert [hit.where for hit in canary.in_tree(postgres.server.data)] == []
    assert [hit.where for hit in canary.in_file(postgres.log)] == []
    assert list(Canary({"plain": plain.reveal().encode()}).in_file(postgres.log))


def _activity(postgres: PostgresUnderTest) -> str:
    with database.connect(postgres.server, postgres.admin) as db:
        return "\n".join(str(row[0]) for row in db.execute("SELECT query FROM pg_stat_activity"))


def test_without_tls_there_is_no_way_in(postgres: PostgresUnderTest) -> None:
    """Plain text is refused with the right password too."""
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(
            host="127.0.0.1", port=postgres.server.port, user="nasos_a", dbname="nasos", sslmode="disable",
            password=postgres.login.password.reveal(),
        )  # fmt: skip


def test_a_server_with_another_ca_is_refused_before_the_password_is_sent(
    postgres: PostgresUnderTest, tmp_path: Path
) -> None:
    """verify-full: a CA that did not sign the server ends the handshake."""
    other = replace(postgres.server, ca_file=DevCa.open(tmp_path, now=datetime.now(UTC)).path)
    with pytest.raises(DatabaseError, match="certificate verify failed"):
        database.can_login(other, postgres.login)


def test_a_wrong_password_and_the_idle_role_are_refused(postgres: PostgresUnderTest) -> None:
    """False, not an error; the text of the error holds no password."""
    wrong = replace(postgres.login, password=Secret("planted-wrong-password"))
    idle = replace(postgres.login, username="nasos_b")
    assert not database.can_login(postgres.server, wrong)
    assert not database.can_login(postgres.server, idle)
    assert not database.can_login(postgres.server, replace(idle, username="nasos_owner"))
    with pytest.raises(DatabaseError) as caught, database.connect(postgres.server, wrong):
        pass
    assert "planted" not in caught.value.message
    assert "password authentication failed" in caught.value.message


def test_an_administrator_cannot_come_in_from_elsewhere(postgres: PostgresUnderTest) -> None:
    """It listens on 127.0.0.1 only, and on no unix socket."""
    with database.connect(postgres.server, postgres.admin) as db:
        shown = {
            name: db.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("listen_addresses", "unix_socket_directories")
        }
    assert shown == {"listen_addresses": ("127.0.0.1",), "unix_socket_directories": ("",)}


def test_tables_belong_to_the_owner_and_survive_a_switch(postgres: PostgresUnderTest) -> None:
    """What `_a` makes, `_b` reads, changes and alters after the switch, while `_a` is shut out."""
    bot = postgres.bot("switched")
    with database.connect(bot.server, bot.login) as db:
        db.execute("CREATE TABLE trades (id serial, pair text)")
        db.execute("INSERT INTO trades (pair) VALUES ('BTC/USDT')")
    other = bot.set_password("switched_b")
    bot.execute("ALTER ROLE switched_a NOLOGIN")
    assert not database.can_login(bot.server, bot.login)
    with database.connect(bot.server, other) as db:
        db.execute("ALTER TABLE trades ADD COLUMN note text")
        db.execute("INSERT INTO trades (pair) VALUES ('ETH/USDT')")
        assert db.execute("SELECT count(*) FROM trades").fetchone() == (2,)
        assert db.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'trades'").fetchone() == (
            "switched_owner",
        )


def test_one_bot_cannot_enter_the_database_of_another(postgres: PostgresUnderTest) -> None:
    """CONNECT is the owner's alone."""
    one, two = postgres.bot("one"), postgres.bot("two")
    with (
        pytest.raises(DatabaseError, match="permission denied for database"),
        database.connect(one.server, replace(one.login, database=two.bot)),
    ):
        pass


def test_an_administrator_that_nobody_can_be_is_let_in_again(place: Path) -> None:
    """Vault and server are of different times: the stored one logs in afterwards, and no other; his data is there."""
    server = server_below(place)
    stored, lost = database.Login("nasos_admin", Secret.random()), database.Login("nasos_admin_b", Secret.random())
    pg.initialize(server, stored)
    pg.configure(server, place / "tls")
    process = Process(server, place / "postgres.log")
    process.start(stored)
    try:
        with database.connect(server, stored) as db:
            db.execute("CREATE TABLE kept (n int)")
            db.execute("CREATE ROLE nasos_admin_b SUPERUSER")
            database.set_password(db, lost)
            db.execute("ALTER ROLE nasos_admin NOLOGIN PASSWORD NULL")
        assert not database.can_login(server, stored)
        process.stop()
        for _ in range(2):  # killed half-way it is done again
            pg.rescue(server, stored)
        process.start(stored)
        assert database.can_login(server, stored)
        assert not database.can_login(server, lost)
        with database.connect(server, stored) as db:
            assert db.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert stored.password.reveal() not in (place / "postgres.log").read_text()
    finally:
        process.kill()


def test_a_damaged_pg_hba_is_put_right(postgres: PostgresUnderTest) -> None:
    """Opened to the world by hand: `configure` says that it changed something, and after it the door is shut."""
    opened = postgres.server.data / "pg_hba.conf"
    opened.write_text("host all all 0.0.0.0/0 trust\n")
    postgres.restart()
    with psycopg.connect(
        host="127.0.0.1", port=postgres.server.port, user="nasos_admin", dbname="postgres", sslmode="disable"
    ) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)
    tls = postgres.server.ca_file.parent
    assert pg.configure(postgres.server, tls) is True
    assert pg.configure(postgres.server, tls) is False
    postgres.restart()
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        psycopg.connect(
            host="127.0.0.1", port=postgres.server.port, user="nasos_admin", dbname="postgres", sslmode="disable"
        )
    assert database.can_login(postgres.server, postgres.login)


def test_a_killed_server_comes_back_with_what_was_committed(postgres: PostgresUnderTest) -> None:
    """kill -9 of the server: the committed row is there after its start."""
    bot = postgres.bot("crashed")
    with database.connect(bot.server, bot.login) as db:
        db.execute("CREATE TABLE kept (id int)")
        db.execute("INSERT INTO kept VALUES (7)")
    postgres.kill()
    with pytest.raises(DatabaseError):
        database.can_login(bot.server, bot.login)
    postgres.restart()
    with database.connect(bot.server, bot.login) as db:
        assert db.execute("SELECT id FROM kept").fetchone() == (7,)
