"""Secrets that live in Vault only: a new random value is all there is to it.

Rules: fields that are not named keep their value. Nothing outside can be asked whether the old one is dead, and the
proof says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasos.errors import CandidateRejected
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence
from nasos.secret import Secret


@dataclass(frozen=True, slots=True)
class RandomFields:
    """A `Rotator` for fields that programs of the user's own read from Vault."""

    fields: Sequence[str] = ("value",)

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        return {**current, **{name: Secret.random() for name in self.fields}}

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`."""
        return {**current, **{name: old[name] for name in self.fields if name in old}}

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        missing = [name for name in self.fields if not candidate.get(name)]
        if missing:
            raise CandidateRejected(f"the field {missing[0]} is empty")
        return f"{', '.join(self.fields)} replaced"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        return None

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: there is no target to try it on."""
        self.test(self.create(current))
        return f"{', '.join(self.fields)}: a new value can be made, and lives in Vault only: there is no more to try"

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`."""
        return 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`."""
        return "no target to ask: whoever read the old value may use it on"
