"""API tokens for machines: a role, the bots, an end; only SHA-256 is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from nasos.gateway.access import Role
from nasos.secret import Secret


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token opens."""

    role: Role
    bots: tuple[str, ...]
    """By name; never empty."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token; it is not the token."""

    id: str
    """Its fingerprint: in lists, in logs, and to revoke it by."""
    name: str
    """What it is for; said by whoever made it."""
    user: str
    """Who made it."""
    scope: Scope
    made: datetime
    ends: datetime

    def opens(self, bot: str) -> bool:
        """Whether it is for this bot."""
        raise NotImplementedError


class ApiTokens:
    """The API tokens of one gateway; made and revoked by other processes too, which counts at once."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at ``path`` (the sessions' one), made if it is missing.

        Raises:
            FileRefused: Wrong owner or mode, no database, or it cannot be written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError

    def create(self, name: str, scope: Scope, *, user: str, now: datetime, ends: datetime) -> tuple[ApiToken, Secret]:
        """A new token, to be shown once.

        Raises:
            UsageError: No bot, an end that has passed or is further than a year away, or a name that is taken.
        """
        raise NotImplementedError

    def check(self, token: Secret, *, bot: str, now: datetime) -> ApiToken:
        """The living token that opens ``bot``.

        Raises:
            TokenRefused: Anything else; the message is for the log only.
        """
        raise NotImplementedError

    def revoke(self, token_id: str, now: datetime) -> bool:
        """End it at once; False when none of this name was alive."""
        raise NotImplementedError

    def alive(self, now: datetime) -> Sequence[ApiToken]:
        """Those that count."""
        raise NotImplementedError
