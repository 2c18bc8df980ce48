"""The PostgreSQL administrator: two superusers who take turns.

Rules:

* Nobody is locked out: the one who is current makes the other, and only the other, logged in with what is stored,
  ends him. A role that cannot log in can end nobody.
* One who cannot log in at all, because his record or his server was brought back from another time, is made to by
  ``rescue``, which stops the server for it: nobody else could.
* The administrator is asked for anew at each use; what is connected when he is replaced is not ended inside a
  transaction (a backup runs in one), and the rotation waits for it.
* Roles keep their names and what they own; one of the two cannot log in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from nasos.database import Endpoint, Login, can_login, connect, set_password
from nasos.errors import CandidateRejected, RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.postgres import is_login, locked, login_of, retire, sessions, thrown_away
from nasos.rotation.rotator import Fence
from nasos.secret import Secret

_DATABASE = "postgres"


@dataclass(frozen=True, slots=True)
class AdminRoles:
    """A `Rotator` for the superusers ``<name>`` and ``<name>_b``."""

    server: Endpoint
    current: Callable[[], Login]
    """What is stored now."""
    name: str
    rescue: Callable[[Login], object] | None = None
    """Lets a superuser log in without asking one."""

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        held = login_of(current, _DATABASE).username
        other = f"{self.name}_b" if held == self.name else self.name
        return {**current, "username": Secret(other), "password": Secret.random()}

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`: the old password, on whichever role is idle."""
        return {**self.create(current), "password": old["password"]}

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""
        login = login_of(candidate, _DATABASE)
        if can_login(self.server, login):
            return
        if self.rescue and login == self.current():
            fence()
            self.rescue(login)
            return
        with locked(self.server, self.current(), self.name) as db:
            fence()
            role = sql.Identifier(login.username)
            try:
                if not db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login.username,)).fetchone():
                    db.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
                db.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(role))
                set_password(db, login)
            except psycopg.OperationalError:
                raise
            except psycopg.Error:
                raise CandidateRejected(f"PostgreSQL refused a new password for {login.username}") from None

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        login = login_of(candidate, _DATABASE)
        if not can_login(self.server, login):
            raise CandidateRejected(f"{login.username} cannot log in with its new password")
        with connect(self.server, login) as db:
            found = db.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if not found or not found[0]:
            raise CandidateRejected(f"{login.username} is no superuser")
        return f"{login.username} logs in and is a superuser"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        return is_login(fields) and can_login(self.server, login_of(fields, _DATABASE))

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: a third superuser, made, used and dropped."""
        candidate = {**current, "username": Secret(f"{self.name}_rehearsal"), "password": Secret.random()}
        login = login_of(candidate, _DATABASE)

        def superuser(db: psycopg.Connection) -> None:
            db.execute(sql.SQL("CREATE ROLE {} NOLOGIN SUPERUSER").format(sql.Identifier(login.username)))

        with thrown_away(self.server, self.current, self.name, login, superuser):
            return self.test(candidate)

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`."""
        with connect(self.server, self.current()) as db:
            return sessions(db, login_of(old, _DATABASE).username)

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`: done as ``kept``, who thereby proves that he can."""
        login, stays = login_of(old, _DATABASE), login_of(kept, _DATABASE)
        if login.username != stays.username:
            with locked(self.server, stays, self.name) as db:
                fence()
                retire(db, login.username)
        if can_login(self.server, login):
            raise RotationError(f"{login.username} still logs in with a password that was replaced")
        return f"{login.username}: the old password is refused"
