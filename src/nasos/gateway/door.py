"""Letting people and machines in: password and one-time code together, and nothing that would tell which was wrong.

Rules:

* Unknown name, wrong password, wrong code, no second factor and an attempt that came too early are one answer. Each
  takes a whole number of `FLOOR`, so that time tells no more than the answer does.
* A name that nobody has, or can have, is asked about in Vault all the same, and counts in the throttle: Vault gets the
  same requests. Who came too early is not looked at; his answer is the same.
* The token that Vault gives for a password is ended at once; what the person gets is a session of the gateway's.
* Somebody's rights are looked up anew each time that his session goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from nasos.errors import LoginFailed, NameRefused, SessionRefused
from nasos.gateway import rights, second_factor
from nasos.gateway.access import Role
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.sessions import Opened, Sessions
from nasos.gateway.spent import Spent
from nasos.gateway.throttle import Throttle
from nasos.gateway.told import Told
from nasos.gateway.vaulted import Vaulted
from nasos.secret import Secret
from nasos.vault.people import Person, person_name

FLOOR: Final = 0.4
"""Seconds; a login takes 0.1 to 0.2 on a quiet machine, most of it bcrypt in Vault."""


MACHINE: Final = "approle/"
"""Before the name of a program's AppRole; no person can be called that."""


NOBODY: Final = "nobody-can-be-called-like-this"
"""Asked about in place of what can be no name."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks, as nginx saw him."""

    address: str
    program: str = ""
    known: str | None = None
    """Whose living session he showed."""
    bot: str = ""
    """Under whose host name he asks: a session is good for that bot alone."""

    @property
    def text(self) -> str:
        """For lists."""
        return f"{self.address} {self.program}"[:200].rstrip()


@dataclass(frozen=True, slots=True)
class Known:
    """What Vault says of a name and a password."""

    person: Person | None
    factor: Secret | None
    who: str
    """For whom it is recorded: a name that nobody has may be a password in the wrong field."""
    why: str
    """Why he is not let in; empty where name and password are right."""


@dataclass(frozen=True, slots=True)
class Door:
    """What logging in needs."""

    vault: Vaulted
    sessions: Sessions
    spent: Spent
    enrolments: Enrolments
    throttle: Throttle
    told: Told

    def log_in(self, name: str, password: Secret, code: str, client: Client) -> Opened:
        """A session for the right name, password and code.

        Raises:
            LoginFailed: One of them is wrong, or it is too early to try again.
            VaultError: It could not be found out.
        """
        checked = partial(self._checked, name, password, code)
        role, why = self.attempt(name, client, time.monotonic(), checked)
        if role is None:
            raise LoginFailed(why)
        return self.opened(name, role, client, "gateway.login")

    def machine(self, role_id: str, secret_id: Secret, client: Client) -> Opened:
        """A session for an AppRole that has a role here.

        Raises:
            LoginFailed: It is none, has no role here, or it is too early to try again.
            VaultError: It could not be found out.
        """
        begun = time.monotonic()
        account = f"approle/{role_id[:64]}"
        try:
            early = self.throttle.wait(client.address, account, begun) > 0
            if not early:
                self.throttle.failed(client.address, account, begun)
            name = None if early else self.vault.machine(role_id, secret_id)
            given = self.vault.machine_role(name) if name else None
        finally:
            _wait(begun)
        if name is None or given not in set(Role):
            self.told.refused("gateway", "gateway.token", name or "unknown", client=client.address)
            raise LoginFailed("refused")
        self.throttle.succeeded(client.address, account, begun)
        return self.opened(f"{MACHINE}{name}", Role(given), client, "gateway.token")

    def go_on(self, refresh: Secret, client: Client) -> Opened:
        """The session goes on, if its person still has the same role.

        Raises:
            SessionRefused: It does not count.
            VaultError: His rights could not be found out.
        """
        now = datetime.now(UTC)
        try:
            opened = self.sessions.renew(refresh, client.text, now, bot=client.bot)
        except SessionRefused as error:
            who = error.user or "gateway"
            event = "gateway.reuse" if error.reused else "gateway.refresh"
            self.told.refused(who, event, error.session or "unknown", client=client.address, why=error.message)
            raise
        if self._role(opened.user) is not opened.role:
            self.sessions.end_all(opened.user, "another role", now)
            self.told.ok(opened.user, "gateway.revoke", opened.user, why="another role")
            raise SessionRefused("the role is another one now")
        return opened

    def end(self, sid: str, user: str, client: Client, *, everywhere: bool) -> None:
        """End one session, or all of its person's."""
        now = datetime.now(UTC)
        if everywhere:
            count = self.sessions.end_all(user, "logout", now)
            self.told.ok(user, "gateway.revoke", user, client=client.address, sessions=str(count))
        elif self.sessions.end(sid, "logout", now):
            self.told.ok(user, "gateway.logout", sid, client=client.address)

    def _role(self, user: str) -> Role | None:
        if user.startswith(MACHINE):
            given = self.vault.machine_role(user.removeprefix(MACHINE))
            return Role(given) if given in set(Role) else None
        found = self.vault.person(user)
        return rights.role(found.rights) if found else None

    def attempt(
        self, name: str, client: Client, begun: float, checked: Callable[[], tuple[Role | None, str, str]]
    ) -> tuple[Role | None, str]:
        """One attempt, throttled, counted, recorded, and as long as any other.

        ``checked`` says the role, for whom it is recorded (a name that nobody has may be a password in the wrong
        field), and why not.
        """
        try:
            return self._counted(name, client, begun, checked)
        finally:
            _wait(begun)

    def _counted(
        self, name: str, client: Client, begun: float, checked: Callable[[], tuple[Role | None, str, str]]
    ) -> tuple[Role | None, str]:
        account, known = name[:64], client.known if client.known == name else None  # his own, nobody else's
        if self.throttle.wait(client.address, account, begun, known) > 0:
            self.told.refused("gateway", "gateway.login", "not looked at", client=client.address, why="too early")
            return None, "too early"
        # A failure until it was right: a hundred guesses at the same time are a hundred failures.
        self.throttle.failed(client.address, account, begun, known)
        role, who, why = checked()
        if role is None:
            self.told.refused("gateway", "gateway.login", who, client=client.address, why=why)
        else:
            self.throttle.succeeded(client.address, account, begun, known)
        return role, why

    def known(self, name: str, password: Secret) -> Known:
        """What Vault says of a name and a password; it is asked for the same, whatever they are.

        Raises:
            VaultError: It could not be found out.
        """
        asked = _possible(name) or NOBODY
        found, factor = self.vault.person(asked), self.vault.factor(asked)
        right = self.vault.proves(asked, password)
        if found is None or asked is NOBODY:
            return Known(None, None, "unknown", "no such person")
        return Known(found, factor, name, "" if right else "password")

    def spend(self, name: str, known: Known, code: str) -> str:
        """Use up a one-time code; why not."""
        if known.factor is None:
            return "no second factor: nasos gateway user totp"
        step = second_factor.accepted(known.factor, code, datetime.now(UTC))
        if step is None:
            return "code"
        return "" if self.spent.take(name, step) else "code used before"

    def _checked(self, name: str, password: Secret, code: str) -> tuple[Role | None, str, str]:
        known = self.known(name, password)
        if known.why or known.person is None:
            return None, known.who, known.why
        if self.enrolments.waits(name):
            return None, name, "his second factor is not enrolled yet"
        why = self.spend(name, known, code)
        role = rights.role(known.person.rights)
        return None if why else role, name, why or ("" if role else "other policies in Vault")

    def opened(self, name: str, role: Role, client: Client, event: str) -> Opened:
        """A session for somebody who was let in."""
        opened = self.sessions.start(name, role, client.text, datetime.now(UTC), bot=client.bot)
        self.told.ok(name, event, opened.sid, client=client.address, role=str(role), program=client.program[:80])
        return opened


def _possible(name: str) -> str | None:
    try:
        return person_name(name)
    except NameRefused:
        return None


def _wait(begun: float) -> None:
    """Sleep until a whole number of floors has passed."""
    passed = time.monotonic() - begun
    time.sleep(FLOOR - passed % FLOOR)
