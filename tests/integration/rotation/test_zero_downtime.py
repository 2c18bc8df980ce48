"""Eight writers on the credential that rotates: no query fails, no row is lost, and the old login is dead each time."""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from fixtures.postgres import BotDatabase, PostgresUnderTest
from fixtures.vault import VaultUnderTest
from nasos.bot.credential import Credential, CredentialPage
from nasos.bot.database import completed
from nasos.database import Login, connect
from nasos.rotation.engine import Engine
from nasos.rotation.journal import Fields
from nasos.rotation.postgres import AlternatingRoles
from nasos.rotation.rotator import Part, Sight, Unit
from nasos.rotation.transition import End
from nasos.settings import Token
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.session import Session
from simulators.launched import SIMULATORS, eventually

PROJECT = SIMULATORS.parents[1]
WRITERS = 8
ROTATIONS = 200


@dataclass
class Writers:
    """A `Consumer`: a process with eight threads on a credential page."""

    postgres: PostgresUnderTest
    database: BotDatabase
    page: CredentialPage
    store: KvStore
    process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        fd = os.open(f"/proc/self/fd/{self.page.fd}", os.O_RDONLY)
        self.process = subprocess.Popen(
            [
                PROJECT / ".venv-bot/bin/python", "-I", SIMULATORS / "writers.py", PROJECT / "src",
                completed(self.database.url, fd), str(WRITERS),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd], text=True,
        )  # fmt: skip
        os.close(fd)

    @property
    def name(self) -> str:
        """See `Consumer.name`."""
        return "eight writers"

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`: what is stored now goes to the page, as the launcher does it."""
        record = self.store.read(f"nasos/bots/{self.database.bot}/db")
        self.page.write(Credential(record.version, record.fields["username"].reveal(), record.fields["password"]))

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`: seen when sessions of the new role are there."""
        (fields,) = current.values()
        return Sight.CONFIRMED if self.sessions(fields["username"].reveal()) else Sight.WAITING

    def sessions(self, role: str) -> int:
        """How many there are."""
        with connect(self.postgres.server, self.postgres.admin) as db:
            row = db.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (role,)).fetchone()
        return int(row[0]) if row else 0

    def end(self) -> dict[str, object]:
        """Stop writing; what they say."""
        said, _ = self.process.communicate(timeout=120)
        found: dict[str, object] = json.loads(said)
        return found


@contextmanager
def writing(postgres: PostgresUnderTest, vault: VaultUnderTest) -> Iterator[tuple[Engine, Writers]]:
    """Eight writers at work, and an engine that rotates what they use."""
    database = postgres.bot(f"z{secrets.token_hex(4)}")
    store = KvStore(Session(VaultApi(vault.address, vault.ca_file), Token(vault.root_token)))
    name, login = f"bots/{database.bot}/db", database.login
    version = store.write(f"nasos/{name}", {"username": login.username, "role": "a", "password": login.password})
    with connect(postgres.server, Login(postgres.admin.username, postgres.admin.password, database.bot)) as db:
        db.execute(
            f'CREATE TABLE written (writer int, number int); ALTER TABLE written OWNER TO "{database.bot}_owner"'
        )
    page = CredentialPage(Credential(version, login.username, login.password))
    writers = Writers(postgres, database, page, store)
    rotator = AlternatingRoles(postgres.server, lambda: postgres.admin, database.bot)
    units = {name: Unit(name, (Part(name, rotator),), (writers,), 30.0)}
    try:
        eventually(lambda: writers.sessions(login.username), 60)
        yield Engine(store, units, lambda *_: None, lambda: datetime.now(UTC), 5.0), writers
    finally:
        writers.process.kill()
        writers.process.wait()
        page.close()


def through(postgres: PostgresUnderTest, vault: VaultUnderTest, rotations: int) -> dict[str, float]:
    """So many rotations; the figures."""
    seconds: list[float] = []
    with writing(postgres, vault) as (engine, writers):
        (name,) = engine.units
        for _ in range(rotations):
            before = writers.store.read(f"nasos/{name}").fields
            result = engine.rotate(name, actor="test", reason="zero downtime")
            assert result.end is End.ROTATED, result.failure
            assert writers.sessions(before["username"].reveal()) == 0
            seconds.append(result.seconds)
        said = writers.end()
        database = writers.database.bot
        with connect(postgres.server, Login(postgres.admin.username, postgres.admin.password, database)) as db:
            row = db.execute("SELECT count(*), count(DISTINCT (writer, number)) FROM written").fetchone()
    assert said["failures"] == []
    rows = said["rows"]
    assert isinstance(rows, list)
    assert min(rows) > 0
    assert row == (sum(rows), sum(rows))
    longest = said["longest"]
    assert isinstance(longest, float)
    return {"rotations": rotations, "rows": sum(rows), "longest": longest, "median": statistics.median(seconds)}


def test_no_query_fails_and_no_row_is_lost(postgres: PostgresUnderTest, vault: VaultUnderTest) -> None:
    """Through 200 rotations; no session of a retired role is left after any of them."""
    assert through(postgres, vault, ROTATIONS)["rows"] > ROTATIONS


@pytest.mark.long
def test_no_query_fails_in_a_thousand_rotations(postgres: PostgresUnderTest, vault: VaultUnderTest) -> None:
    """The same, for longer; prints its figures."""
    print(f"\n{through(postgres, vault, 1000)}")  # noqa: T201  figures of a long run


def test_the_writers_do_notice_a_credential_that_ends_too_early(
    postgres: PostgresUnderTest, vault: VaultUnderTest
) -> None:
    """The negative twin: the same writers, and the role is taken from them behind the engine's back: queries fail."""
    with writing(postgres, vault) as (_, writers):
        role = writers.database.login.username
        with connect(postgres.server, postgres.admin) as db:
            db.execute(f'ALTER ROLE "{role}" NOLOGIN PASSWORD NULL')
            eventually(
                lambda: (
                    not db.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,)
                    ).fetchall()
                )
            )
        failures = writers.end()["failures"]
    assert isinstance(failures, list)
    assert failures
