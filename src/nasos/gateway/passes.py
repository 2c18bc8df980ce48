"""Who is asking: an access token (as bearer or cookie), or an API token, for the bot of this host name.

Rules: an Authorization header counts alone; what it holds is never replaced by a cookie. A token is looked at for the
bot whose name was called, and its session must be alive at this moment: what is revoked counts no more at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nasos.errors import TokenRefused
from nasos.gateway import cookies, tokens
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import ApiTokens
from nasos.gateway.config import Bot
from nasos.gateway.sessions import Opened, Sessions
from nasos.gateway.vaulted import Vaulted
from nasos.secret import Secret

ACCESS_SECONDS: Final = 300
"""An access token's life; what is revoked ends before, because its session is looked at."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Somebody who was let in."""

    user: str
    role: Role
    sid: str
    """Session, or fingerprint of the API token."""
    by: str
    """``bearer``, ``cookie`` or ``api-token``."""
    token: Secret
    ends: datetime


class Passes:
    """Verifies and issues; every method may be called from any thread."""

    def __init__(self, vault: Vaulted, sessions: Sessions, api_tokens: ApiTokens) -> None:
        self._vault, self._sessions, self._api_tokens = vault, sessions, api_tokens
        self._verifier = tokens.Verifier(vault.ring)

    def of(self, headers: Mapping[str, str], bot: Bot) -> Pass:
        """Whose request this is.

        Raises:
            TokenRefused: Nobody's who may.
            VaultError: The keys cannot be read.
        """
        said = headers.get("authorization")
        if said is not None:
            scheme, _, value = said.partition(" ")
            if scheme.lower() != "bearer":
                raise TokenRefused("no bearer token")
            return self.holder(Secret(value.strip()), bot, "bearer")
        cookie = cookies.read(headers.get("cookie", ""), cookies.ACCESS)
        if cookie is None:
            raise TokenRefused("no token")
        return self.holder(cookie, bot, "cookie")

    def holder(self, token: Secret, bot: Bot, by: str) -> Pass:
        """Who holds this token.

        Raises:
            TokenRefused: It does not count for this bot, or no more.
            VaultError: The keys cannot be read.
        """
        now = datetime.now(UTC)
        if by != "cookie" and not tokens_shape(token):
            found = self._api_tokens.check(token, bot=bot.name, now=now)
            return Pass(found.name, found.scope.role, found.id, "api-token", token, found.ends)
        claims = self._verifier.verify(token, audience=bot.name, now=now)
        if not self._sessions.active(claims.sid, now):
            raise TokenRefused("its session has ended")
        return Pass(claims.sub, claims.role, claims.sid, by, token, datetime.fromtimestamp(claims.exp, UTC))

    def alive(self, held: Pass, bot: Bot) -> bool:
        """Whether somebody who was let in for long still may be; an access token's own end is no end of his session."""
        now = datetime.now(UTC)
        if held.by != "api-token":
            return self._sessions.active(held.sid, now)
        try:
            return self._api_tokens.check(held.token, bot=bot.name, now=now).scope.role is held.role
        except TokenRefused:
            return False

    def access(self, opened: Opened, bot: Bot) -> Secret:
        """A new access token of a session, for one bot."""
        return self.issue(opened.user, opened.role, opened.sid, bot)

    def issue(self, user: str, role: Role, sid: str, bot: Bot) -> Secret:
        """A new access token."""
        return tokens.issue(
            self._vault.ring(), subject=user, role=role, session=sid, audience=bot.name,
            now=datetime.now(UTC), seconds=ACCESS_SECONDS,
        )  # fmt: skip


def tokens_shape(token: Secret) -> bool:
    """Whether it looks like a JWS: three parts (RFC 7515, 7.1); an API token has no dots."""
    return token.reveal().count(".") == 2


def until(moment: datetime) -> int:
    """Seconds from now, at least none."""
    return max(0, int((moment - datetime.now(UTC)) / timedelta(seconds=1)))
