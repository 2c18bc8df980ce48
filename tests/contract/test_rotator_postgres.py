"""What the PostgreSQL rotators promise beyond the contract: sessions, dropped roles, missing rights, quiet logs."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from fixtures.postgres import PostgresUnderTest
from fixtures.rotators import Target, admin_target, postgres_target
from nasos.database import Login, connect, set_password
from nasos.errors import CandidateRejected, DatabaseError, RotationError
from nasos.rotation import postgres as rotating
from nasos.rotation.admin_roles import AdminRoles
from nasos.rotation.postgres import AlternatingRoles, sessions
from nasos.rotation.single_role import SingleRole
from nasos.secret import Secret


def allowed() -> None:
    """A fence that is open."""


@pytest.fixture
def real(postgres: PostgresUnderTest) -> Target:
    """Two roles of a fresh bot."""
    return postgres_target(postgres, "alternating")


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
        assert not real.works(real.current)
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


def test_a_role_that_changes_itself_does_not_write_over_a_change_by_hand(postgres: PostgresUnderTest) -> None:
    """The stored password is refused at the server: somebody else's is there, and stays."""
    target = postgres_target(postgres, "self")
    username = target.current["username"].reveal()
    theirs = Login(username, Secret.random(), username.removesuffix("_a"))
    with connect(postgres.server, postgres.admin) as db:
        set_password(db, theirs)
    with pytest.raises(CandidateRejected, match="somebody changed it"):
        target.rotator.set(target.rotator.create(target.current), allowed)
    with connect(postgres.server, theirs):
        pass


def test_an_administrator_mends_a_change_by_hand(postgres: PostgresUnderTest) -> None:
    """Who may change any role need not know what somebody else had set."""
    target = postgres_target(postgres, "single")
    username = target.current["username"].reveal()
    with connect(postgres.server, postgres.admin) as db:
        set_password(db, Login(username, Secret.random(), "postgres"))
    candidate = target.rotator.create(target.current)
    target.rotator.set(candidate, allowed)
    assert target.works(candidate)


def test_a_change_that_does_not_log_in_is_taken_back_by_the_session_that_made_it(postgres: PostgresUnderTest) -> None:
    """A role whose password has run out takes any password and lets nobody in: the stored one is there again."""
    target = postgres_target(postgres, "self")
    role = target.current["username"].reveal()
    candidate = target.rotator.create(target.current)

    def expires() -> None:  # between the look and the change: the fence stands there
        with connect(postgres.server, postgres.admin) as db:
            db.execute(f"ALTER ROLE {role} VALID UNTIL '2020-01-01'".encode())

    with pytest.raises(CandidateRejected, match="stored one again"):
        target.rotator.set(candidate, expires)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f"ALTER ROLE {role} VALID UNTIL 'infinity'".encode())
    assert target.works(target.current)
    assert not target.works(candidate)


@pytest.mark.parametrize("kind", ["alternating", "single", "self"])
def test_a_record_that_is_no_login_is_said_to_be_none(postgres: PostgresUnderTest, kind: str) -> None:
    """Before anything is changed anywhere."""
    with pytest.raises(RotationError, match="has no username"):
        postgres_target(postgres, kind).rotator.create({"value": Secret("x")})


def roles_of(postgres: PostgresUnderTest, database: str) -> list[str]:
    """Roles of one bot, by name."""
    with connect(postgres.server, postgres.admin) as db:
        found = db.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s ORDER BY 1", (f"{database}%",))
        return [str(row[0]) for row in found.fetchall()]


def test_a_rehearsal_uses_a_role_to_throw_away(postgres: PostgresUnderTest, real: Target) -> None:
    """It logs in and acts as the owner; afterwards the roles are those of before, and the current login works."""
    assert isinstance(real.rotator, AlternatingRoles)
    before = roles_of(postgres, real.rotator.database)
    proof = real.rotator.rehearse(real.current)
    assert proof.endswith(f"_rehearsal logs in and acts as {real.rotator.database}_owner")
    assert roles_of(postgres, real.rotator.database) == before
    assert real.works(real.current)


def test_a_rehearsal_names_the_missing_right(postgres: PostgresUnderTest, real: Target) -> None:
    """An administrator who may not make roles; a table that the owner may not use."""
    assert isinstance(real.rotator, AlternatingRoles)
    database = real.rotator.database
    plain = Login(real.current["username"].reveal(), real.current["password"], database)
    weak = AlternatingRoles(postgres.server, lambda: plain, database)
    with pytest.raises(CandidateRejected, match=f"{plain.username} may not do that: .*permission denied"):
        weak.rehearse(real.current)
    with connect(postgres.server, Login(postgres.admin.username, postgres.admin.password, database)) as db:
        db.execute("CREATE TABLE foreign_table (n int)")
    with pytest.raises(CandidateRejected, match="may not use the table foreign_table"):
        real.rotator.rehearse(real.current)
    assert f"{database}_rehearsal" not in roles_of(postgres, database)


def test_a_killed_rehearsals_role_is_cleared_by_the_next_one(postgres: PostgresUnderTest, real: Target) -> None:
    """And cannot log in for longer than a minute anyway."""
    assert isinstance(real.rotator, AlternatingRoles)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f'CREATE ROLE "{real.rotator.database}_rehearsal" LOGIN')
    real.rotator.rehearse(real.current)
    assert f"{real.rotator.database}_rehearsal" not in roles_of(postgres, real.rotator.database)


def test_the_rehearsal_of_a_single_role_names_what_is_missing(postgres: PostgresUnderTest) -> None:
    """No right to change it, a role that cannot log in whatever its password, a stored password that is not its own."""
    target, other, own = (postgres_target(postgres, kind) for kind in ("single", "single", "self"))
    assert isinstance(target.rotator, SingleRole)
    assert isinstance(own.rotator, SingleRole)
    role, stranger = (each.current["username"].reveal() for each in (target, other))
    weak = SingleRole(
        postgres.server,
        lambda: target.current,
        role.removesuffix("_a"),
        lambda: Login(stranger, other.current["password"], stranger.removesuffix("_a")),
    )
    with pytest.raises(CandidateRejected, match=f"{stranger} may not do that: .*permission denied"):
        weak.rehearse(target.current)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f"ALTER ROLE {role} VALID UNTIL '2020-01-01'".encode())
    with pytest.raises(CandidateRejected, match="its time is over"):
        target.rotator.rehearse(target.current)
    with pytest.raises(CandidateRejected, match="somebody changed it"):
        own.rotator.rehearse({**own.current, "password": Secret.random()})
    assert own.works(own.current)


def test_the_rehearsal_of_an_administrator_leaves_no_superuser(postgres: PostgresUnderTest) -> None:
    """The third one logs in, is dropped, and a killed rehearsal's is cleared by the next one."""
    target = admin_target(postgres)
    assert isinstance(target.rotator, AdminRoles)
    name = target.rotator.name
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f'CREATE ROLE "{name}_rehearsal" LOGIN'.encode())
    assert target.rotator.rehearse(target.current) == f"{name}_rehearsal logs in and is a superuser"
    assert roles_of(postgres, name) == [name]


def test_an_administrator_is_not_ended_by_one_who_cannot_log_in(postgres: PostgresUnderTest) -> None:
    """What is stored does not log in, by somebody's hand: the other stays, and nobody is locked out."""
    target = admin_target(postgres)
    candidate = target.rotator.create(target.current)
    target.rotator.set(candidate, allowed)
    wrong = {**candidate, "password": Secret.random()}
    with pytest.raises(DatabaseError):
        target.rotator.revoke(target.current, wrong, allowed)
    assert target.works(target.current)
    assert target.works(candidate)


def test_the_servers_own_workers_are_nobodys_sessions(postgres: PostgresUnderTest) -> None:
    """They run as the first superuser: he could never be retired, if they counted."""
    target = admin_target(postgres)
    with connect(postgres.server, postgres.admin) as db:
        workers = db.execute(
            "SELECT usename FROM pg_stat_activity WHERE backend_type = 'logical replication launcher'"
        ).fetchall()
        assert workers == [(postgres.admin.username,)]
        assert sessions(db, postgres.admin.username) == 0
    assert target.rotator.in_use(target.current) == 0


def test_a_superuser_who_is_none_any_more_does_not_pass(postgres: PostgresUnderTest) -> None:
    """He logs in, and could not do his work."""
    target = admin_target(postgres)
    candidate = target.rotator.create(target.current)
    target.rotator.set(candidate, allowed)
    with connect(postgres.server, postgres.admin) as db:
        db.execute(f"ALTER ROLE {candidate['username'].reveal()} NOSUPERUSER".encode())
    with pytest.raises(CandidateRejected, match="no superuser"):
        target.rotator.test(candidate)
