"""Rotate, roll back, resume: what an operator or a timer asks for.

Rules: one rotator at a time (`lease.py`); what earlier runs left open is finished before anything new begins on the
same unit; a unit whose rotation is open cannot be rotated again, so that two halves of a pair never change at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nasos.errors import UsageError
from nasos.rotation import lease
from nasos.rotation.journal import Fields, Journal
from nasos.rotation.procedure import Conduct, Procedure
from nasos.rotation.rotator import Part, Unit
from nasos.rotation.run import Candidate, Result, Run, Tell
from nasos.rotation.transition import MOST_CANDIDATES
from nasos.vault.store import SecretStore


@dataclass(frozen=True, slots=True)
class Engine:
    """Rotates the units of one installation, whose secrets are in ``store``."""

    store: SecretStore
    units: Mapping[str, Unit]
    tell: Tell
    now: Callable[[], datetime]
    wait: float = 0.0
    """Seconds to wait for another rotator."""
    procedures: Mapping[str, Procedure] = field(default_factory=dict)
    """What is replaced and is no record in Vault."""

    def rotate(self, name: str, *, actor: str, reason: str) -> Result:
        """Replace a unit's secrets, after finishing what was left open of it; or run a procedure.

        Raises:
            UsageError: There is neither under this name.
            AlreadyRunning: Another rotator is at work.
            Error: A target or Vault cannot be asked; what is open stays open.
        """
        if name in self.procedures:
            with lease.hold(self.store, self.wait) as held:
                conduct = Conduct(held.check, self.tell, self.now)
                return conduct.run(self.procedures[name], actor=actor, reason=reason)
        return self._run(name, lambda part, current: part.rotator.create(current), actor, reason, MOST_CANDIDATES)

    def adopt(self, name: str, given: Mapping[str, Fields], *, actor: str, reason: str) -> Result:
        """Make values current that were made elsewhere, with the same proofs; ``given`` maps each secret to its fields.

        Raises:
            UsageError: There is no such unit.
            Error: As `rotate`.
        """
        return self._run(name, lambda part, _current: given[part.name], actor, reason, 1)

    def rollback(self, name: str, versions: Mapping[str, int], *, actor: str, reason: str) -> Result:
        """Bring stored versions back, with the same proofs; ``versions`` maps each secret's name to its version.

        Raises:
            UsageError: There is no such unit.
            SecretDeleted: That version is gone.
            Error: As `rotate`.
        """

        def revived(part: Part, current: Fields) -> Fields:
            return part.rotator.revive(current, self.store.read(f"nasos/{part.name}", versions[part.name]).fields)

        return self._run(name, revived, actor, reason, 1)

    def resume(self) -> list[Result]:
        """Finish whatever earlier runs left open, oldest first.

        Raises:
            Error: One of them cannot be finished now; those before it are.
        """
        with lease.hold(self.store, self.wait) as held:
            return [self._hands(held, opened.entry.unit).finish(opened) for opened in Journal(self.store).open()]

    def _run(self, name: str, candidate: Candidate, actor: str, reason: str, left: int) -> Result:
        self._unit(name)
        with lease.hold(self.store, self.wait) as held:
            unfinished = Journal(self.store).read(name)
            if unfinished:
                self._hands(held, name).finish(unfinished)
            run = self._hands(held, name)
            return run.finish(run.begin(candidate, actor=actor, reason=reason, left=left))

    def _hands(self, held: lease.Held, name: str) -> Run:
        return Run(self.store, self._unit(name), held.check, self.tell, self.now)

    def _unit(self, name: str) -> Unit:
        if name in self.procedures:
            raise UsageError(f"{name} keeps no old version: there is no way back", f"nasos rotate now {name}")
        if name not in self.units:
            known = sorted([*self.units, *self.procedures])
            raise UsageError(f"nothing rotates under the name {name}", f"known: {', '.join(known)}")
        return self.units[name]
