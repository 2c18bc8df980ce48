"""API tokens for machines: a role, the bots, an end; only SHA-256 is kept.

Rules:

* A token opens named bots with one role, until a day at most a year away. It is shown once, when it is made.
* It is looked up by its hash, so no comparison can tell how much of a guess was right.
* What is revoked is revoked at the next request: nothing is remembered between requests.
* Whoever loses a role loses his tokens with it (`ApiTokens.revoke_all`).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from nasos.errors import TokenRefused, UsageError
from nasos.gateway import opaque
from nasos.gateway.access import Role
from nasos.gateway.storage import Storage
from nasos.secret import Secret

LONGEST: Final = timedelta(days=366)
KEPT: Final = timedelta(days=30)
"""How long a token that has ended is remembered."""
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_CREATE: Final = "nasos gateway token create"


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
        return bot in self.scope.bots


class ApiTokens:
    """The API tokens of one gateway; made and revoked by other processes too, which counts at once."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at ``path`` (the sessions' one), made if it is missing.

        Raises:
            FileRefused: Wrong owner or mode, no database, or it cannot be written.
        """
        return cls(Storage.open(path))

    def close(self) -> None:
        """Let go of the file."""
        self._storage.close()

    def create(self, name: str, scope: Scope, *, user: str, now: datetime, ends: datetime) -> tuple[ApiToken, Secret]:
        """A new token, to be shown once.

        Raises:
            UsageError: No bot, an end that has passed or is further than a year away, or a name that is taken.
        """
        _sensible(name, scope, now, ends)
        token = opaque.assembled(opaque.API, opaque.random_text(opaque.RANDOM))
        made = ApiToken(opaque.fingerprint(token), name, user, scope, now, ends)
        with self._storage.change() as rows:
            if rows.execute(
                "SELECT 1 FROM api_tokens WHERE name = ? AND ended IS NULL AND ends > ?", (name, now.timestamp())
            ).fetchone():
                raise UsageError(f"there is an API token named {name} already", "nasos gateway token list")
            rows.execute(
                "INSERT INTO api_tokens (digest, id, name, user, role, bots, made, ends)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    opaque.digest(token.reveal()), made.id, name, user, scope.role.value, " ".join(scope.bots),
                    now.timestamp(), ends.timestamp(),
                ),
            )  # fmt: skip
        return made, token

    def check(self, token: Secret, *, bot: str, now: datetime) -> ApiToken:
        """The living token that opens ``bot``.

        Raises:
            TokenRefused: Anything else; the message is for the log only.
        """
        if opaque.random_part(token.reveal(), opaque.API) is None:
            raise TokenRefused("no API token")
        rows = self._storage.look("SELECT * FROM api_tokens WHERE digest = ?", (opaque.digest(token.reveal()),))
        if not rows:
            raise TokenRefused("an API token that nobody knows")
        found = _read(rows[0])
        if rows[0]["ended"] is not None:
            raise TokenRefused(f"the API token {found.name} was revoked")
        if found.ends <= now:
            raise TokenRefused(f"the API token {found.name} has ended")
        if not found.opens(bot):
            raise TokenRefused(f"the API token {found.name} is for other bots")
        return found

    def revoke(self, token_id: str, now: datetime) -> bool:
        """End it at once; False when none of this name was alive."""
        return self._end("id = ?", token_id, now) > 0

    def revoke_all(self, user: str, now: datetime) -> int:
        """End all tokens that a user made, at once; how many there were."""
        return self._end("user = ?", user, now)

    def alive(self, now: datetime) -> Sequence[ApiToken]:
        """Those that count, by name."""
        rows = self._storage.look(
            "SELECT * FROM api_tokens WHERE ended IS NULL AND ends > ? ORDER BY name", (now.timestamp(),)
        )
        return [_read(row) for row in rows]

    def tidy(self, now: datetime) -> int:
        """Forget what can matter no more; how many tokens."""
        limit = (now - KEPT).timestamp()
        with self._storage.change() as rows:
            return rows.execute("DELETE FROM api_tokens WHERE coalesce(ended, ends) < ?", (limit,)).rowcount

    def _end(self, which: str, value: str, now: datetime) -> int:
        moment = now.timestamp()
        with self._storage.change() as rows:
            return rows.execute(
                f"UPDATE api_tokens SET ended = ? WHERE {which} AND ended IS NULL AND ends > ?",  # noqa: S608  our words
                (moment, value, moment),
            ).rowcount


def _sensible(name: str, scope: Scope, now: datetime, ends: datetime) -> None:
    """Refuse what cannot be meant."""
    for text, what in ((name, "name of a token"), *((bot, "bot's name") for bot in scope.bots)):
        if not _NAME.fullmatch(text):
            raise UsageError(f"this is no {what}: letters, digits, dot, dash and underscore", _CREATE)
    if not scope.bots:
        raise UsageError("a token opens at least one bot", _CREATE)
    if not now < ends <= now + LONGEST:
        raise UsageError(f"a token ends in the future, in {LONGEST.days} days at the latest", _CREATE)


def _read(row: sqlite3.Row) -> ApiToken:
    made, ends = (datetime.fromtimestamp(row[name], UTC) for name in ("made", "ends"))
    return ApiToken(
        row["id"], row["name"], row["user"], Scope(Role(row["role"]), tuple(row["bots"].split())), made, ends
    )
