"""A PostgreSQL password where a second role is not allowed.

Rules:

* A role has one verifier: from the change until the new password is promoted, a *new* connection with the stored one
  is refused; open ones go on. That is as long as two verifying logins and three writes to Vault take (measured: 0.1 s
  on two busy cores). A rotator that is killed in between leaves it so until the next one has gone on; where that must
  not be, let two roles take turns.
* A role may change its own password, so that no administrator is needed: then the stored password lets us in. One that
  was changed by hand at the server is rejected, not written over; with an administrator it is replaced.
* Giving up sets the password back to the stored one, which the candidate lets us do.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psycopg

from nasos.database import Endpoint, Login, can_login, said, set_password
from nasos.errors import CandidateRejected, RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.postgres import is_login, locked, login_of
from nasos.rotation.rotator import Fence
from nasos.secret import Secret

_ENDED: Final = "SELECT NOT rolcanlogin OR coalesce(rolvaliduntil < now(), false) FROM pg_roles WHERE rolname = %s"


@dataclass(frozen=True, slots=True)
class SingleRole:
    """A `Rotator` for the fields ``username`` and ``password``."""

    server: Endpoint
    current: Callable[[], Fields]
    """What is stored now."""
    database: str
    admin: Callable[[], Login] | None = None
    """Who changes the password; None: the role itself."""

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        login_of(current, self.database)
        return {**current, "password": Secret.random()}

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`."""
        return {**current, "password": old["password"]}

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`; from here on the stored password is refused."""
        login = self._login(candidate)
        if can_login(self.server, login):
            return
        own = self._login(self.current())
        if self.admin is None and not can_login(self.server, own):
            raise CandidateRejected(f"{own.username} cannot log in with its stored password: somebody changed it")
        self._change(own, login, fence)

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        login = self._login(candidate)
        if not can_login(self.server, login):
            raise CandidateRejected(f"{login.username} cannot log in with its new password")
        return f"{login.username} logs in"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        return is_login(fields) and can_login(self.server, self._login(fields))

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: the change, inside a transaction that is taken back; nobody sees it meanwhile."""
        own, new = self._login(current), self._login(self.create(current))
        works = can_login(self.server, own)
        if self.admin is None and not works:
            raise CandidateRejected(f"{own.username} cannot log in with its stored password: somebody changed it")
        by = self.admin() if self.admin else own
        with locked(self.server, by, own.username) as db, suppress(psycopg.Rollback), db.transaction() as change:
            self._tried(db, new, by)
            raise psycopg.Rollback(change)
        if can_login(self.server, own) is not works:
            raise RotationError(f"{own.username} was changed by somebody meanwhile", "nasos rotate doctor")
        return (
            f"{by.username} may give {own.username} another password, which was taken back; "
            "whether that one logs in shows when it is changed: a role has one"
        )

    def _tried(self, db: psycopg.Connection, new: Login, by: Login) -> None:
        try:
            db.execute("SET LOCAL ROLE NONE")
            set_password(db, new, allow=self.admin is not None)
            ends = db.execute(_ENDED, (new.username,)).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            raise CandidateRejected(f"{by.username} may not do that: {said(error)}") from None
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            raise CandidateRejected(f"PostgreSQL refused a new password for {new.username}: {said(error)}") from None
        if not ends or ends[0]:
            raise CandidateRejected(f"{new.username} cannot log in with any password: it may not, or its time is over")

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`: sessions do not tell by which password they were opened."""
        return 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`."""
        login, stays = self._login(old), self._login(kept)
        if can_login(self.server, login):
            same = login.username == stays.username
            self._change(login, stays if same else Login(login.username, Secret.random(), self.database), fence)
        if can_login(self.server, login):
            raise RotationError(f"{login.username} still logs in with a password that was replaced")
        return f"{login.username}: the old password is refused; sessions that were open go on"

    def _change(self, own: Login, new: Login, fence: Fence) -> None:
        by = self.admin() if self.admin else own
        with locked(self.server, by, new.username) as db:
            fence()
            try:
                db.execute("SET ROLE NONE")  # as itself, whomever it acts as
                set_password(db, new, allow=self.admin is not None)
            except psycopg.OperationalError:
                raise
            except psycopg.Error:
                raise CandidateRejected(f"PostgreSQL refused a new password for {new.username}") from None
            if not can_login(self.server, new):  # this session is the last one that can mend it
                set_password(db, own, allow=self.admin is not None)
                raise CandidateRejected(
                    f"{new.username} cannot log in with a new password; it has the stored one again"
                )

    def _login(self, fields: Fields) -> Login:
        return login_of(fields, self.database)
