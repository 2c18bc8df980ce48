"""The seams of a rotation: what changes a credential at its target, and who uses it.

Rules: every method may be called again after a crash anywhere inside it, and asks first whether it is done. A target
that says no to a candidate raises `CandidateRejected`; one that cannot be asked raises any other `Error`, and the step
is done again later. What has a side effect calls ``fence`` first, inside the target's own lock where it has one:
a rotator that was paused and replaced must not act on what it believed before.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from nasos.rotation.journal import Fields

Fence: TypeAlias = Callable[[], None]
"""Raises when this rotator may not act any more."""


class Rotator(Protocol):
    """How one kind of secret is replaced."""

    def create(self, current: Fields) -> Fields:
        """A candidate to follow ``current``; nothing outside changes."""

    def revive(self, current: Fields, old: Fields) -> Fields:
        """A candidate that brings an ``old`` version back beside ``current``."""

    def set(self, candidate: Fields, fence: Fence) -> None:
        """Make the target accept the candidate; what is current stays valid where the target can hold two.

        Raises:
            CandidateRejected: The target does not want it.
        """

    def test(self, candidate: Fields) -> str:
        """Use the candidate as its consumer will; return what was proven.

        Raises:
            CandidateRejected: It does not work, or lacks a right.
        """

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """Whether the target takes ``fields`` now, in what differs from ``kept``: tried, and nothing changes.

        None where there is nobody to ask.
        """

    def in_use(self, old: Fields) -> int:
        """How many sessions still live on ``old``; 0 where that cannot be told."""

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """End ``old`` without touching ``kept``, and prove it refused; return the proof.

        Raises:
            RotationError: It could not be proven dead (yet).
        """


@runtime_checkable
class Rehearsing(Protocol):
    """A rotator that can try itself out, on something to throw away or without a lasting change."""

    def rehearse(self, current: Fields) -> str:
        """Try what can be tried of a rotation; return what was proven, and what could not be tried and why.

        ``current`` works all the time, and what was made is gone afterwards.

        Raises:
            CandidateRejected: It would not work; names what is missing.
        """


class Sight(enum.StrEnum):
    """How a consumer is seen."""

    CONFIRMED = "confirmed"
    """It works with what is current."""
    ABSENT = "absent"
    """It does not run; at its next start it reads what is current then."""
    WAITING = "waiting"
    """Not seen with it yet."""
    BROKEN = "broken"
    """It fails with it."""


class Consumer(Protocol):
    """Who uses a secret."""

    @property
    def name(self) -> str:
        """For people."""

    def deliver(self, *, urgent: bool) -> None:
        """Tell it that there is something new; never fails, for it looks by itself, too.

        ``urgent``: it must not wait for a moment that suits it, because what is current before is known to others.
        """

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """Whether it works with what is current: the unit's secrets by name."""


@dataclass(frozen=True, slots=True)
class Part:
    """One secret of a unit and how it is replaced."""

    name: str
    """Its path below ``nasos/``."""
    rotator: Rotator
    fields: tuple[str, ...] = ()
    """Which of its fields are the credential; empty: that is not known, and counts as all of them. What they hold since
    when is the unit's age; an older version with others in them was replaced."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Secrets that are replaced together, with one point to go back to."""

    name: str
    parts: tuple[Part, ...]
    consumers: tuple[Consumer, ...] = ()
    overlap: float = 60.0
    """Seconds within which the consumers must be seen with the new one."""
    since: Callable[[], datetime | None] | None = None
    """Since when the present value stands, where the versions in Vault do not tell."""
