"""Somebody enrols his second factor himself: password and one-time link show it, its first code makes it count.

Rules: an attempt is throttled, counted, timed and answered as a login is (`door`), and asks Vault for the same. The
gateway shows what is in Vault and writes nothing there: the factor was made with the link, and nobody has seen it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nasos.errors import LoginFailed
from nasos.gateway import rights, second_factor
from nasos.gateway.access import Role
from nasos.gateway.door import Client, Door, Known
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.sessions import Opened
from nasos.secret import Secret


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What somebody shows who is to enrol."""

    name: str
    password: Secret
    link: Secret


@dataclass(frozen=True, slots=True)
class Newcomers:
    """What enrolling needs."""

    door: Door
    links: Enrolments

    def look(self, who: Newcomer, client: Client) -> Secret:
        """What an authenticator app reads: the second factor, with its name.

        Raises:
            LoginFailed: Password or link is wrong, or it is too early to try again.
            VaultError: It could not be found out.
        """
        factor, _ = self._tried(who, client, lambda _known: "")
        self.door.told.ok(who.name, "gateway.enrol", who.name, what="shown", client=client.address)
        return second_factor.address(factor, who.name)

    def confirm(self, who: Newcomer, code: str, client: Client) -> Opened:
        """Enrolled, and logged in; the link is used up.

        Raises:
            LoginFailed: Password, link or code is wrong, or it is too early to try again.
            VaultError: It could not be found out.
        """

        def judged(known: Known) -> str:
            why = self.door.spend(who.name, known, code)
            return why or ("" if self.links.take(who.link, who.name, datetime.now(UTC)) else "link taken meanwhile")

        _, role = self._tried(who, client, judged)
        self.door.told.ok(who.name, "gateway.enrol", who.name, what="enrolled", client=client.address)
        return self.door.opened(who.name, role, client, "gateway.login")

    def _tried(self, who: Newcomer, client: Client, also: Callable[[Known], str]) -> tuple[Secret, Role]:
        """The factor and the role of somebody with the right password and link, if ``also`` finds no fault."""
        found: list[tuple[Secret, Role]] = []

        def checked() -> tuple[Role | None, str, str]:
            known = self.door.known(who.name, who.password)
            if known.why:
                return None, known.who, known.why
            role = rights.role(known.person.rights) if known.person else None
            if not self.links.fits(who.link, who.name, datetime.now(UTC)):
                return None, who.name, "no link of his, or no more"
            if known.factor is None or role is None:
                return None, who.name, "no second factor: nasos gateway user enrol"
            if why := also(known):
                return None, who.name, why
            found.append((known.factor, role))
            return role, who.name, ""

        role, why = self.door.attempt(who.name, client, time.monotonic(), checked)
        if role is None:
            raise LoginFailed(why)
        return found[0]
