"""Sessions: families of refresh tokens, in SQLite, of which only SHA-256 is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from nasos.gateway.access import Role
from nasos.secret import Secret


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives."""

    idle: timedelta = timedelta(hours=24)
    """Without a renewal."""
    whole: timedelta = timedelta(days=14)
    """Whatever it does; then the person logs in again."""
    grace: timedelta = timedelta(seconds=10)
    """In which a client that lost the answer to a renewal is given the same answer again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that began, or was renewed."""

    sid: str
    refresh: Secret
    """To be kept by the client alone; good for one renewal."""
    user: str
    role: Role
    ends: datetime
    """When the refresh token ends if it is not used."""


Renewed = Opened


@dataclass(frozen=True, slots=True)
class Session:
    """A session as a list shows it: nothing that opens anything."""

    sid: str
    user: str
    role: Role
    client: str
    began: datetime
    renewed: datetime
    ends: datetime


class Sessions:
    """The sessions of one gateway; every method may be called from any thread.

    What another process does to the same file (the operator's command) counts from the next call on.
    """

    @classmethod
    def open(cls, path: Path, lifetimes: Lifetimes | None = None) -> Self:
        """The file at ``path``, made if it is missing (0600, in a private directory).

        Raises:
            FileRefused: Wrong owner or mode, no database, or it cannot be written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError

    def start(self, user: str, role: Role, client: str, now: datetime) -> Opened:
        """A new session of ``user``; ``client`` says from where (address and program), for lists and for the grace."""
        raise NotImplementedError

    def renew(self, refresh: Secret, client: str, now: datetime) -> Renewed:
        """The session goes on with a new refresh token; this one is used up.

        Raises:
            SessionRefused: ``unknown``, ``ended``, ``expired``, ``lost`` (the answer is no longer known) or ``reused``
                (used before: the whole session is ended); `SessionRefused.session` names it where it is known.
        """
        raise NotImplementedError

    def end(self, sid: str, reason: str, now: datetime) -> bool:
        """End one session at once; False when none of this name was alive."""
        raise NotImplementedError

    def end_all(self, user: str, reason: str, now: datetime) -> int:
        """End all sessions of a user at once; how many there were."""
        raise NotImplementedError

    def active(self, sid: str, now: datetime) -> bool:
        """Whether access tokens of this session count."""
        raise NotImplementedError

    def alive(self, now: datetime, user: str | None = None) -> Sequence[Session]:
        """The sessions that live, of one user or of all."""
        raise NotImplementedError

    def tidy(self, now: datetime) -> int:
        """Forget what can matter no more; how many sessions."""
        raise NotImplementedError
