"""Rotate, roll back, resume: what an operator or a timer asks for.

Rules: one rotator at a time (`lease.py`); what earlier runs left open is finished before anything new begins on the
same unit; a unit whose rotation is open cannot be rotated again, so that two halves of a pair never change at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nasos.errors import UsageError
from nasos.ledger import Outcome
from nasos.rotation import lease
from nasos.rotation.candidate import Candidate, fresh
from nasos.rotation.doctor import Diagnosis, Doctor, Health
from nasos.rotation.journal import Fields, Journal
from nasos.rotation.procedure import Conduct, Procedure
from nasos.rotation.rotator import Part, Rehearsing, Unit
from nasos.rotation.run import Order, Result, Run, Tell
from nasos.rotation.transition import MOST_CANDIDATES
from nasos.vault.store import SecretStore

_OUTCOMES: Final[Mapping[Health, Outcome]] = {
    Health.MENDED: Outcome.OK,
    Health.DRIFTED: Outcome.FAILED,
    Health.UNKNOWN: Outcome.UNKNOWN,
}


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

    def rotate(self, name: str, *, actor: str, reason: str, urgent: bool = False, leaked: bool = False) -> Result:
        """Replace a unit's secrets, after finishing what was left open of it; or run a procedure.

        The flags are those of `Order`; a procedure is always at once, and keeps nothing that could be destroyed.

        Raises:
            UsageError: There is neither under this name.
            AlreadyRunning: Another rotator is at work.
            Error: A target or Vault cannot be asked; what is open stays open.
        """
        if name in self.procedures:
            with lease.hold(self.store, self.wait) as held:
                conduct = Conduct(held.check, self.tell, self.now)
                return conduct.run(self.procedures[name], actor=actor, reason=reason)
        order = Order(actor=actor, reason=reason, urgent=urgent, leaked=leaked)
        return self._run(name, fresh, order, MOST_CANDIDATES)

    def adopt(self, name: str, given: Mapping[str, Fields], *, actor: str, reason: str, urgent: bool = False) -> Result:
        """Make values current that were made elsewhere, with the same proofs; ``given`` maps each secret to its fields.

        Raises:
            UsageError: There is no such unit.
            Error: As `rotate`.
        """
        order = Order(actor=actor, reason=reason, urgent=urgent)
        return self._run(name, lambda part, _current: given[part.name], order, 1)

    def rollback(self, name: str, versions: Mapping[str, int], *, actor: str, reason: str) -> Result:
        """Bring stored versions back, with the same proofs; ``versions`` maps each secret's name to its version.

        Raises:
            UsageError: There is no such unit.
            SecretDeleted: That version is gone.
            Error: As `rotate`.
        """

        def revived(part: Part, current: Fields) -> Fields:
            return part.rotator.revive(current, self.store.read(f"nasos/{part.name}", versions[part.name]).fields)

        return self._run(name, revived, Order(actor=actor, reason=reason), 1)

    def resume(self) -> list[Result]:
        """Finish whatever earlier runs left open, oldest first.

        Raises:
            Error: One of them cannot be finished now; those before it are.
        """
        with lease.hold(self.store, self.wait) as held:
            return [self._hands(held, opened.entry.unit).finish(opened) for opened in Journal(self.store).open()]

    def settle(self, name: str) -> Result | None:
        """Finish what was left open of one unit; None when nothing was.

        Raises:
            UsageError: There is no such unit.
            Error: It cannot be finished now.
        """
        self._unit(name)
        with lease.hold(self.store, self.wait) as held:
            unfinished = Journal(self.store).read(name)
            return self._hands(held, name).finish(unfinished) if unfinished else None

    def examine(self, name: str, *, mend: bool) -> list[Diagnosis]:
        """Use what is stored and try what was before; ``mend`` finishes what was left open and sets drift right.

        Raises:
            UsageError: There is no such unit.
            AlreadyRunning: Another rotator is at work.
            Error: Vault cannot be asked.
        """
        unit, doctor = self._unit(name), Doctor(self.store)
        with lease.hold(self.store, self.wait) as held:
            unfinished = Journal(self.store).read(name)
            if unfinished and not mend:
                what = f"a rotation is open at {unfinished.entry.step}: nasos rotate resume"
                return [Diagnosis(name, Health.DRIFTED, what)]
            if unfinished:
                self._hands(held, name).finish(unfinished)
            if not mend:
                return doctor.examine(unit)
            found = doctor.mend(unit, held.check)
        for it in found:
            if it.health in _OUTCOMES:
                self.tell("rotation.drift", name, _OUTCOMES[it.health], {"health": it.health.value, "what": it.what})
        return found

    def rehearse(self, name: str) -> list[str]:
        """Try a rotation out on what is nobody's; what was proven of each part.

        Raises:
            UsageError: There is no such unit.
            CandidateRejected: A rotation would not work; names what is missing.
            Error: A target or Vault cannot be asked.
        """
        unit, proofs = self._unit(name), []
        with lease.hold(self.store, self.wait):
            for part in unit.parts:
                current = self.store.read(f"nasos/{part.name}").fields
                if isinstance(part.rotator, Rehearsing):
                    proofs.append(part.rotator.rehearse(current))
                else:
                    part.rotator.create(current)
                    proofs.append(f"{part.name}: a candidate can be made; its rotator has no rehearsal for the rest")
        return proofs

    def _run(self, name: str, candidate: Candidate, order: Order, left: int) -> Result:
        self._unit(name)
        with lease.hold(self.store, self.wait) as held:
            unfinished = Journal(self.store).read(name)
            if unfinished:
                self._hands(held, name).finish(unfinished)
            run = self._hands(held, name)
            return run.finish(run.begin(candidate, order, left))

    def _hands(self, held: lease.Held, name: str) -> Run:
        return Run(self.store, self._unit(name), held.check, self.tell, self.now)

    def _unit(self, name: str) -> Unit:
        if name in self.procedures:
            raise UsageError(f"{name} is no record in Vault: it can only be rotated", f"nasos rotate now {name}")
        if name not in self.units:
            known = sorted([*self.units, *self.procedures])
            raise UsageError(f"nothing rotates under the name {name}", f"known: {', '.join(known)}")
        return self.units[name]
