"""What every rotator promises, on simulated roles and on a real PostgreSQL."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
import pytest

from fixtures.postgres import PostgresUnderTest
from nasos.database import Login, can_login, connect
from nasos.errors import CandidateRejected, LeaseLost, RotationError
from nasos.rotation import postgres as rotating
from nasos.rotation.journal import Fields
from nasos.rotation.postgres import AlternatingRoles
from nasos.rotation.rotator import Rotator
from nasos.secret import Secret
from simulators.roles import DATABASE, Server, SimulatedRoles


def allowed() -> None:
    """A fence that is open."""


def lost() -> None:
    """A fence that is closed."""
    raise LeaseLost("another rotator has taken over")


@dataclass(frozen=True)
class Target:
    """A rotator, what is current at its target, and a consumer's eyes."""

    rotator: Rotator
    current: Fields
    logs_in: Callable[[Fields], bool]


@pytest.fixture
def simulated() -> Target:
    """Roles in memory."""
    current = {"username": Secret(f"{DATABASE}_a"), "role": Secret("a"), "password": Secret.random()}
    server = Server({f"{DATABASE}_a": current["password"]})
    return Target(
        SimulatedRoles(server),
        current,
        lambda fields: server.can_login(fields["username"].reveal(), fields["password"]),
    )


@pytest.fixture
def real(postgres: PostgresUnderTest) -> Target:
    """Roles of a fresh bot in the session's PostgreSQL."""
    bot = postgres.bot(f"r{secrets.token_hex(4)}")
    current = {"username": Secret(bot.login.username), "role": Secret("a"), "password": bot.login.password}
    return Target(
        AlternatingRoles(postgres.server, postgres.admin, bot.bot),
        current,
        lambda fields: can_login(postgres.server, Login(fields["username"].reveal(), fields["password"], bot.bot)),
    )


@pytest.fixture(params=["simulated", "real"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Target)
    return found


def names(fields: Mapping[str, Secret]) -> dict[str, str]:
    """What is no secret of a record."""
    return {name: fields[name].reveal() for name in ("username", "role")}


def test_a_candidate_is_the_idle_role_with_another_password_and_changes_nothing(target: Target) -> None:
    """Made twice it is two candidates; the target has heard of neither."""
    one, two = target.rotator.create(target.current), target.rotator.create(target.current)
    assert names(one)["role"] == "b"
    assert one["password"] != two["password"]
    assert target.logs_in(target.current)
    assert not target.logs_in(one)


def test_both_work_between_set_and_revoke_and_each_step_may_be_done_again(target: Target) -> None:
    """Set, test and revoke twice each: the overlap is real, and the end of the old one is proven."""
    candidate = target.rotator.create(target.current)
    for _ in range(2):
        target.rotator.set(candidate, allowed)
        assert target.logs_in(target.current)
        assert target.logs_in(candidate)
    assert "logs in" in target.rotator.test(candidate)
    for _ in range(2):
        assert "refused" in target.rotator.revoke(target.current, candidate, allowed)
        assert not target.logs_in(target.current)
        assert target.logs_in(candidate)


def test_a_candidate_that_was_never_set_does_not_pass_the_test(target: Target) -> None:
    """The test is a real use."""
    with pytest.raises(CandidateRejected, match="cannot log in"):
        target.rotator.test(target.rotator.create(target.current))


def test_a_rotator_that_lost_its_lease_changes_nothing(target: Target) -> None:
    """A paused one wakes up: neither a candidate is set nor a credential ended."""
    candidate = target.rotator.create(target.current)
    with pytest.raises(LeaseLost):
        target.rotator.set(candidate, lost)
    assert not target.logs_in(candidate)
    with pytest.raises(LeaseLost):
        target.rotator.revoke(target.current, candidate, lost)
    assert target.logs_in(target.current)


def test_the_old_password_can_be_brought_back_beside_the_current_one(target: Target) -> None:
    """It comes back on the role that is idle."""
    second = target.rotator.create(target.current)
    target.rotator.set(second, allowed)
    target.rotator.revoke(target.current, second, allowed)
    back = target.rotator.revive(second, target.current)
    assert back["password"] == target.current["password"]
    target.rotator.set(back, allowed)
    target.rotator.test(back)
    assert target.logs_in(back)
    assert target.logs_in(second)


def test_sessions_are_counted_and_idle_ones_end_with_their_role(postgres: PostgresUnderTest, real: Target) -> None:
    """PostgreSQL: a session of the old role is seen, and gone when the role is retired."""
    login = Login(real.current["username"].reveal(), real.current["password"], real.current["username"].reveal()[:-2])
    candidate = real.rotator.create(real.current)
    real.rotator.set(candidate, allowed)
    session = contextlib.ExitStack()
    db = session.enter_context(connect(postgres.server, login))
    assert real.rotator.in_use(real.current) == 1
    assert real.rotator.in_use(candidate) == 0
    real.rotator.revoke(real.current, candidate, allowed)
    assert real.rotator.in_use(real.current) == 0
    with pytest.raises(psycopg.OperationalError):
        db.execute("SELECT 1")
    session.close()


def test_a_session_inside_a_transaction_is_not_ended(
    postgres: PostgresUnderTest, real: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending it would take the bot with it: the role loses its login, and the rotation says what is left and waits."""
    monkeypatch.setattr(rotating, "DRAIN_SECONDS", 0.2)
    login = Login(real.current["username"].reveal(), real.current["password"], real.current["username"].reveal()[:-2])
    candidate = real.rotator.create(real.current)
    real.rotator.set(candidate, allowed)
    with connect(postgres.server, login) as db:
        db.execute("BEGIN")
        db.execute("SELECT 1")
        with pytest.raises(RotationError, match=r"1 sessions .* inside a transaction"):
            real.rotator.revoke(real.current, candidate, allowed)
        db.execute("COMMIT")
        assert not real.logs_in(real.current)
    assert "refused" in real.rotator.revoke(real.current, candidate, allowed)


def test_a_role_that_was_dropped_by_hand_is_made_again(postgres: PostgresUnderTest, real: Target) -> None:
    """Without it nothing would ever rotate again; the new one acts as the owner."""
    candidate = real.rotator.create(real.current)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f"DROP ROLE {candidate['username'].reveal()}".encode())
    real.rotator.set(candidate, allowed)
    assert "acts as" in real.rotator.test(candidate)


def test_a_right_that_is_missing_is_noticed_before_promotion(postgres: PostgresUnderTest, real: Target) -> None:
    """A role that acts as itself could not read the owner's tables: the bot would die of it."""
    candidate = real.rotator.create(real.current)
    real.rotator.set(candidate, allowed)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f"ALTER ROLE {candidate['username'].reveal()} RESET role".encode())
    with pytest.raises(CandidateRejected, match="acts as"):
        real.rotator.test(candidate)


def test_no_password_reaches_the_servers_log(postgres: PostgresUnderTest, real: Target) -> None:
    """With every statement logged, there is a verifier and never a password."""
    candidate = real.rotator.create(real.current)
    with connect(postgres.server, postgres.admin) as db:
        db.execute("ALTER SYSTEM SET log_statement = 'all'")
        db.execute("SELECT pg_reload_conf()")
    try:
        real.rotator.set(candidate, allowed)
        real.rotator.revoke(real.current, candidate, allowed)
    finally:
        with connect(postgres.server, postgres.admin) as db:
            db.execute("ALTER SYSTEM RESET log_statement")
            db.execute("SELECT pg_reload_conf()")
    logged = postgres.log.read_text(errors="replace")
    assert "SCRAM-SHA-256$" in logged
    assert candidate["password"].reveal() not in logged
