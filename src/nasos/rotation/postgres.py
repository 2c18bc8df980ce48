"""PostgreSQL passwords: two roles that take turns.

Rules:

* The new password goes to the role that is idle, so both work until the old one is retired. `single_role` is for
  databases where a second role is not allowed.
* The administrator's login is asked for anew at each use: it rotates, too.
* Statements run under an advisory lock of the unit's, and the fence is asked inside it: a rotator that was paused
  cannot bring a retired password back.
* Only idle sessions of the old role are ended: one inside a transaction would take the bot with it (measured,
  freqtrade 2026.9). A role counts as retired when it cannot log in and no session of it is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from nasos.database import Endpoint, Login, act_as_owner, can_login, connect, said, set_password
from nasos.errors import CandidateRejected, LoginRefused, RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence
from nasos.secret import Secret

REHEARSAL: Final = timedelta(minutes=1)
"""How long a throw-away role can log in, should nobody come back to drop it."""
LOGIN: Final = ("username", "password")
"""The fields of a record that are the credential."""
DRAIN_SECONDS: Final = 10.0
"""Patience with sessions that are inside a transaction when their role is retired."""


@dataclass(frozen=True, slots=True)
class AlternatingRoles:
    """A `Rotator` for ``<database>_a`` and ``<database>_b``, which take turns as members of ``<database>_owner``."""

    server: Endpoint
    admin: Callable[[], Login]
    database: str

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        turn = "b" if login_of(current, self.database).username == f"{self.database}_a" else "a"
        return {
            **current, "username": Secret(f"{self.database}_{turn}"), "role": Secret(turn), "password": Secret.random()
        }  # fmt: skip

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`: the old password, on whichever role is idle; also where what is stored is no login."""
        return {**self.create(current if is_login(current) else old), "password": old["password"]}

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""
        login = self._login(candidate)
        if can_login(self.server, login):
            return
        with locked(self.server, self.admin(), self.database) as db:
            fence()
            try:
                _member(db, login.username, f"{self.database}_owner")
                set_password(db, login)
            except psycopg.Error as error:
                if isinstance(error, psycopg.OperationalError):
                    raise
                raise CandidateRejected(f"PostgreSQL refused a new password for {login.username}") from None

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`: log in, act as the owner, and lack no right on a table of his."""
        login, owner = self._login(candidate), f"{self.database}_owner"
        try:
            with connect(self.server, login) as db:
                acting = str((db.execute("SELECT current_user").fetchone() or ("",))[0])
                lacking = db.execute(
                    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
                    " AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')"
                    " AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))"
                ).fetchone()
        except LoginRefused:
            raise CandidateRejected(f"{login.username} cannot log in with its new password") from None
        if acting != owner:
            raise CandidateRejected(f"{login.username} acts as {acting}, not as {owner}")
        if lacking:
            raise CandidateRejected(f"{login.username} may not use the table {lacking[0]}")
        return f"{login.username} logs in and acts as {owner}"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        return is_login(fields) and can_login(self.server, self._login(fields))

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: a third role, made, used and dropped; after a minute it cannot log in anyway."""
        candidate = {**current, "username": Secret(f"{self.database}_rehearsal"), "password": Secret.random()}
        login = self._login(candidate)

        def member(db: psycopg.Connection) -> None:
            _member(db, login.username, f"{self.database}_owner")

        with thrown_away(self.server, self.admin, self.database, login, member):
            return self.test(candidate)

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`."""
        with connect(self.server, self.admin()) as db:
            return sessions(db, old["username"].reveal()) if is_login(old) else 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`."""
        if not is_login(old):  # somebody broke the record: whoever is not current ends
            old = self.create(kept)
        login = self._login(old)
        if old["username"] != kept["username"]:
            with locked(self.server, self.admin(), self.database) as db:
                fence()
                retire(db, login.username)
        if can_login(self.server, login):
            raise RotationError(f"{login.username} still logs in with a password that was replaced")
        return f"{login.username}: the old password is refused"

    def _login(self, fields: Fields) -> Login:
        return login_of(fields, self.database)


def login_of(fields: Fields, database: str) -> Login:
    """What a record says.

    Raises:
        RotationError: It is no record of a database login.
    """
    if missing := [name for name in LOGIN if not fields.get(name)]:
        raise RotationError(
            f"the record of a database login has no {missing[0]}", f"nasos secret set ... --field {missing[0]}"
        )
    return Login(fields["username"].reveal(), fields["password"], database)


def is_login(fields: Fields) -> bool:
    """Whether a record is one of a database login."""
    return all(fields.get(name) for name in LOGIN)


def _member(db: psycopg.Connection, role: str, owner: str) -> None:
    """A role that was dropped by hand is made again: without it nothing would ever rotate."""
    if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        db.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    act_as_owner(db, role, owner)


def _dropped(db: psycopg.Connection, role: str) -> None:
    if db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        db.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextmanager
def thrown_away(
    server: Endpoint,
    admin: Callable[[], Login],
    unit: str,
    login: Login,
    make: Callable[[psycopg.Connection], object],
) -> Iterator[None]:
    """A role that ``make`` makes, with this login, while the block lasts; left over, it cannot log in for long.

    Raises:
        CandidateRejected: The administrator may not make it.
    """
    until = (datetime.now(UTC) + REHEARSAL).isoformat()
    try:
        with locked(server, admin(), unit) as db:
            _dropped(db, login.username)  # a killed rehearsal's
            try:
                make(db)
                set_password(db, login)
                db.execute(sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(sql.Identifier(login.username), until))
            except psycopg.errors.InsufficientPrivilege as error:
                raise CandidateRejected(f"{admin().username} may not do that: {said(error)}") from None
        yield
    finally:
        with locked(server, admin(), unit) as db:
            _dropped(db, login.username)


@contextmanager
def locked(server: Endpoint, login: Login, unit: str) -> Iterator[psycopg.Connection]:
    """A connection that alone works on ``unit`` (of one database: PostgreSQL's advisory locks are)."""
    with connect(server, login) as db:
        # Ends with the session, however that ends; a paused rotator must not hold the next one up for ever.
        db.execute("SET lock_timeout = '10s'")
        db.execute("SELECT pg_advisory_lock(hashtext('nasos rotation'), hashtext(%s))", (unit,))
        yield db


def retire(db: psycopg.Connection, role: str) -> None:
    """No login, no password, and no session of ``role``; idle ones are ended, the others waited for.

    Raises:
        RotationError: Some are inside a transaction, and stay there.
    """
    if db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        db.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(role)))
    deadline = time.monotonic() + DRAIN_SECONDS
    while left := _end_idle(db, role):
        if time.monotonic() > deadline:
            raise RotationError(
                f"{left} sessions of {role} are inside a transaction and were not ended", "nasos rotate resume"
            )
        time.sleep(0.05)


def sessions(db: psycopg.Connection, role: str) -> int:
    """How many there are of ``role``, besides the one that asks."""
    # PostgreSQL's own workers run as the first superuser, and are nobody's sessions.
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
        " AND backend_type IN ('client backend', 'walsender')"
    )
    found = db.execute(asked, (role,)).fetchone()
    return int(found[0]) if found else 0


def _end_idle(db: psycopg.Connection, role: str) -> int:
    """End what is idle; return how many sessions are left."""
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND state = 'idle'", (role,))
    return sessions(db, role)
