"""Whether what is stored works: each current credential is used, each one before it is tried, and drift is mended.

Rules:

* Vault's newest version is what counts: a target that does not take it is made to. So both a database and a Vault that
  were restored to another moment end with one credential that works, the stored one.
* An older version that still works is ended; it is nobody's any more. So is a login of which no version is left.
* A rotation that was left open is finished before its unit is looked at.
* Looking changes nothing; what cannot be asked is neither sound nor drifted, and says so.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from nasos.errors import CandidateRejected, Error, RotationError, SecretDeleted, SecretNotFound, UsageError
from nasos.rotation.candidate import differ
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Consumer, Fence, Part, Sight, Unit
from nasos.rotation.run import POLL
from nasos.vault.store import SecretStore

LOOK_SECONDS: Final = 5.0
"""For a consumer to be seen when nothing has changed for it: a pool may have no session at this instant."""


class Health(enum.StrEnum):
    """How one credential or consumer is."""

    SOUND = "sound"
    DRIFTED = "drifted"
    MENDED = "mended"
    UNTRIED = "untried"
    """There is nobody to ask: it has no target, or its bot does not run."""
    UNKNOWN = "unknown"
    """It could not be asked."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found of one unit: the worst of it comes last."""

    unit: str
    health: Health
    what: str


@dataclass(frozen=True, slots=True)
class Doctor:
    """Examines units whose secrets are in ``store``."""

    store: SecretStore

    def examine(self, unit: Unit) -> list[Diagnosis]:
        """Use and try everything; nothing changes.

        Raises:
            VaultError: The secrets cannot be read.
        """
        current = self._current(unit)
        if not current:
            return []
        found = [self._of_part(unit, part, current[part.name]) for part in unit.parts]
        return found + [self._of_consumer(unit, it, current, LOOK_SECONDS) for it in unit.consumers]

    def mend(self, unit: Unit, fence: Fence) -> list[Diagnosis]:
        """Examine, and set right what drifted.

        Raises:
            LeaseLost: Another rotator took over.
            VaultError: The secrets cannot be read.
        """
        current, found = self._current(unit), []
        for part in unit.parts if current else ():
            seen = self._of_part(unit, part, current[part.name])
            if seen.health is Health.DRIFTED:
                seen = self._mended(unit, part, current[part.name], fence)
            found.append(seen)
        for consumer in unit.consumers if current else ():
            seen = self._of_consumer(unit, consumer, current, LOOK_SECONDS)
            if seen.health is Health.DRIFTED:
                consumer.deliver(urgent=False)
                again = self._of_consumer(unit, consumer, current, unit.overlap)
                seen = Diagnosis(unit.name, Health.MENDED, again.what) if again.health is Health.SOUND else again
            found.append(seen)
        return found

    def _of_part(self, unit: Unit, part: Part, current: Fields) -> Diagnosis:
        try:
            taken = part.rotator.accepts(current, {})
            alive = [number for number, old in self._before(part, current) if part.rotator.accepts(old, current)]
        except Error as error:
            return Diagnosis(unit.name, Health.UNKNOWN, f"{part.name}: {error.message}")
        if taken is None:
            return Diagnosis(unit.name, Health.UNTRIED, f"{part.name}: there is nobody to ask whether it works")
        if not taken:
            return Diagnosis(unit.name, Health.DRIFTED, f"{part.name}: what is stored is refused")
        if alive:
            versions = ", ".join(map(str, alive))
            return Diagnosis(
                unit.name, Health.DRIFTED, f"{part.name}: still works, but was replaced: version {versions}"
            )
        rest = "and nothing from before it does" if part.fields else "what was before was not tried"
        return Diagnosis(unit.name, Health.SOUND, f"{part.name}: works, {rest}")

    def _mended(self, unit: Unit, part: Part, current: Fields, fence: Fence) -> Diagnosis:
        try:
            if part.rotator.accepts(current, {}) is False:
                part.rotator.set(current, fence)
                part.rotator.test(current)
            for _, old in self._before(part, current):
                if part.rotator.accepts(old, current):
                    part.rotator.revoke(old, current, fence)
            with suppress(UsageError):  # a key that only a person can make
                # Where a target holds two, the other one may have come from a version that Vault has lost.
                part.rotator.revoke(part.rotator.create(current), current, fence)
        except (CandidateRejected, RotationError) as error:
            return Diagnosis(unit.name, Health.DRIFTED, f"{part.name}: cannot be mended: {error.message}")
        again = self._of_part(unit, part, current)
        mended = Diagnosis(unit.name, Health.MENDED, again.what)
        return mended if again.health is Health.SOUND else again

    def _before(self, part: Part, current: Fields) -> Iterator[tuple[int, Fields]]:
        """Older versions that can be read and hold another credential; which fields are one, the part knows."""
        for version in self.store.history(f"nasos/{part.name}")[:-1]:
            try:
                old = self.store.read(f"nasos/{part.name}", version.number).fields
            except (SecretNotFound, SecretDeleted):
                continue
            if differ(old, current, names=part.fields):
                yield version.number, old

    def _of_consumer(self, unit: Unit, consumer: Consumer, current: Mapping[str, Fields], patience: float) -> Diagnosis:
        deadline = time.monotonic() + patience
        while True:
            try:
                sight = consumer.look(current)
            except Error as error:
                return Diagnosis(unit.name, Health.UNKNOWN, f"{consumer.name}: {error.message}")
            if sight is Sight.CONFIRMED:
                return Diagnosis(unit.name, Health.SOUND, f"{consumer.name} works with it")
            if sight is Sight.ABSENT:
                return Diagnosis(unit.name, Health.SOUND, f"{consumer.name} does not run")
            if time.monotonic() > deadline:
                return Diagnosis(unit.name, Health.DRIFTED, f"{consumer.name} does not work with what is stored")
            time.sleep(POLL)

    def _current(self, unit: Unit) -> dict[str, Fields]:
        """Empty while something of it is not stored: then there is nothing to examine."""
        with suppress(SecretNotFound, SecretDeleted):
            return {part.name: self.store.read(f"nasos/{part.name}").fields for part in unit.parts}
        return {}
