"""What happens to servers, roles and values between set and promote, on real ones: a reader always logs in."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from fixtures.postgres import BotDatabase, PostgresUnderTest
from fixtures.vault import VaultUnderTest
from nasos.database import Login, can_login, connect
from nasos.errors import Error, SecretNotFound
from nasos.rotation.doctor import Health
from nasos.rotation.engine import Engine
from nasos.rotation.journal import Fields, Journal
from nasos.rotation.postgres import LOGIN, AlternatingRoles
from nasos.rotation.rotator import Part, Unit
from nasos.rotation.run import Result
from nasos.rotation.transition import End
from nasos.settings import Token
from nasos.vault.client import VaultApi
from nasos.vault.kv import KvStore
from nasos.vault.session import Session


@dataclass(frozen=True)
class Interrupted(AlternatingRoles):
    """Something happens when the candidate is set, and before it is promoted."""

    happening: Callable[[], object] = field(kw_only=True)

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        proof = super().test(candidate)
        self.happening()
        return proof


@dataclass
class Place:
    """One bot's database login in a real Vault and a real PostgreSQL."""

    vault: VaultUnderTest
    postgres: PostgresUnderTest
    bot: BotDatabase

    def __post_init__(self) -> None:
        self.name, login = f"bots/{self.bot.bot}/db", self.bot.login
        self.store.write(f"nasos/{self.name}", {"username": login.username, "role": "a", "password": login.password})

    @property
    def store(self) -> KvStore:
        """A client of its own each time."""
        return KvStore(Session(VaultApi(self.vault.address, self.vault.ca_file), Token(self.vault.root_token)))

    def engine(self, happening: Callable[[], object] = lambda: None, wait: float = 0.0) -> Engine:
        """A rotator, and what comes between."""
        rotator = Interrupted(
            self.postgres.server, lambda: self.postgres.admin, self.bot.bot, happening=once(happening)
        )
        units = {self.name: Unit(self.name, (Part(self.name, rotator, LOGIN),))}
        return Engine(self.store, units, lambda *_: None, lambda: datetime.now(UTC), wait)

    def rotate(self, happening: Callable[[], object] = lambda: None) -> Result:
        """Rotate while that happens."""
        return self.engine(happening).rotate(self.name, actor="test", reason="bad day")

    @property
    def login(self) -> Login:
        """What a reader would get."""
        fields = self.store.read(f"nasos/{self.name}").fields
        return Login(fields["username"].reveal(), fields["password"], self.bot.bot)

    def whole(self) -> bool:
        """The stored login works, nothing is open, and it is the only one."""
        with connect(self.postgres.server, self.postgres.admin) as db:
            roles = db.execute(
                "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE %s", (f"{self.bot.bot}%",)
            ).fetchall()
        return (
            can_login(self.postgres.server, self.login)
            and Journal(self.store).read(self.name) is None
            and [str(row[0]) for row in roles] == [self.login.username]
        )


def once(happening: Callable[[], object]) -> Callable[[], object]:
    """The first time only."""
    left = [happening]
    return lambda: left.pop()() if left else None


@pytest.fixture
def place(vault: VaultUnderTest, postgres: PostgresUnderTest) -> Place:
    """A fresh bot."""
    return Place(vault, postgres, postgres.bot(f"d{secrets.token_hex(4)}"))


def test_vault_killed_between_set_and_promote(place: Place) -> None:
    """The rotation stays open at its step; the reader has what he had; the next rotator ends it."""
    before = place.login
    with pytest.raises(Error):
        place.rotate(place.vault.kill)
    assert can_login(place.postgres.server, before)
    place.vault.restart()
    assert place.login == before
    (result,) = place.engine(wait=30).resume()
    assert result.end is End.ROTATED
    assert place.whole()
    assert place.login != before


def test_vault_sealed_between_set_and_promote(place: Place) -> None:
    """As above: sealed is an error, not an answer."""
    before = place.login
    with pytest.raises(Error):
        place.rotate(lambda: place.vault.api.request("POST", "sys/seal", {}, token=place.vault.root_token))
    assert can_login(place.postgres.server, before)
    place.vault.restart()
    assert [result.end for result in place.engine(wait=30).resume()] == [End.ROTATED]
    assert place.whole()


def test_postgres_killed_between_set_and_promote(place: Place) -> None:
    """What is promoted was tested; the end of the old one waits for the server to come back."""
    with pytest.raises(Error):
        place.rotate(place.postgres.kill)
    place.postgres.restart()
    assert can_login(place.postgres.server, place.login)
    assert [result.end for result in place.engine().resume()] == [End.ROTATED]
    assert place.whole()


def test_a_secret_that_somebody_writes_meanwhile_is_not_overwritten(place: Place) -> None:
    """The operator's value stays, ours is ended, and the command says so."""
    current = place.store.read(f"nasos/{place.name}").fields

    def by_hand() -> None:
        place.store.write(f"nasos/{place.name}", {**current, "note": "by hand"})

    result = place.rotate(by_hand)
    assert (result.end, "somebody else wrote" in result.failure) == (End.ROLLED_BACK, True)
    assert place.store.read(f"nasos/{place.name}").fields["note"].reveal() == "by hand"
    assert place.whole()


def test_the_role_of_the_candidate_is_dropped_by_hand_before_it_is_promoted(place: Place) -> None:
    """It was tested a moment ago: what is current then does not log in, the doctor says so and mends it."""
    turn = f"{place.bot.bot}_b"

    def drop() -> None:
        with connect(place.postgres.server, place.postgres.admin) as db:
            db.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(turn)))

    place.rotate(drop)
    assert place.login.username == turn
    assert [it.health for it in place.engine().examine(place.name, mend=False)] == [Health.DRIFTED]
    assert [it.health for it in place.engine().examine(place.name, mend=True)] == [Health.MENDED]
    assert place.whole()


def test_a_database_that_was_restored_to_before_the_rotation_is_mended(place: Place) -> None:
    """Its old login works and the stored one does not; afterwards it is the other way round."""
    old = place.login
    place.rotate()
    with connect(place.postgres.server, place.postgres.admin) as db:
        restored(db, old, place.login.username)
    assert can_login(place.postgres.server, old)
    assert not can_login(place.postgres.server, place.login)
    assert [it.health for it in place.engine().examine(place.name, mend=True)] == [Health.MENDED]
    assert not can_login(place.postgres.server, old)
    assert place.whole()


def test_a_vault_that_lost_its_last_version_is_mended_from_what_it_holds(place: Place) -> None:
    """A snapshot of before the rotation: the stored login works again, the one of which nothing is left is ended."""
    before = place.store.read(f"nasos/{place.name}").fields
    place.rotate()
    lost = place.login
    place.store.forget(f"nasos/{place.name}")
    place.store.write(f"nasos/{place.name}", before)
    assert not can_login(place.postgres.server, place.login)
    assert [it.health for it in place.engine().examine(place.name, mend=True)] == [Health.MENDED]
    assert not can_login(place.postgres.server, lost)
    assert place.whole()


def test_a_rollback_gets_past_a_record_that_somebody_broke(place: Place) -> None:
    """The newest version is no login at all: the one before comes back with the same proofs, and alone."""
    place.rotate()
    good = place.store.read(f"nasos/{place.name}")
    place.store.write(f"nasos/{place.name}", {"oops": "not a login"})
    result = place.engine().rollback(place.name, {place.name: good.version}, actor="test", reason="broken")
    assert result.end is End.ROTATED, result.failure
    assert place.login.password == good.fields["password"]
    assert place.whole()


def restored(db: psycopg.Connection, old: Login, new: str) -> None:
    """Roles as a dump of before has them."""
    db.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(old.username), old.password.reveal()))
    db.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(new)))


def test_two_rotators_at_once_come_one_after_the_other(place: Place) -> None:
    """Both rotate, none meets the other in the middle: two new versions, one login."""
    ends: list[End] = []
    threads = [
        threading.Thread(
            target=lambda: ends.append(place.engine(wait=60).rotate(place.name, actor="test", reason="two at once").end)
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [End.ROTATED, End.ROTATED]
    assert place.store.read(f"nasos/{place.name}").version == 3
    assert place.whole()


def test_a_version_that_vault_has_pruned_cannot_come_back(place: Place) -> None:
    """Ten are kept: asking for an older one is an error, and changes nothing."""
    for _ in range(10):
        place.rotate()
    before = place.login
    with pytest.raises(SecretNotFound):
        place.engine().rollback(place.name, {place.name: 1}, actor="test", reason="too old")
    assert place.login == before
    assert place.whole()


def test_a_clock_that_jumps_back_does_not_stop_a_rotation(place: Place) -> None:
    """Times are for people; the order is the journal's."""
    engine, times = place.engine(), iter(range(100))
    backwards = Engine(
        engine.store, engine.units, engine.tell, lambda: datetime.now(UTC) - timedelta(hours=next(times)), 0.0
    )
    for _ in range(2):
        assert backwards.rotate(place.name, actor="test", reason="clock").end is End.ROTATED
    assert place.whole()
