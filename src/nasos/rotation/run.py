"""One rotation under way: does the step that the journal says, notes the next, until the end.

Rules:

* The intent is in the journal before the step is begun; every step may be begun again.
* A secret that somebody else wrote meanwhile is theirs: it is not overwritten, and what we made is ended. If they
  kept the credential and changed something beside it, the credential is not ours to end.
* The old credential ends when every consumer is seen with the new one and its sessions are gone, or at the deadline
  of the overlap; consumers that are not seen by then, or fail, bring the old one back.
* An error of the target or of Vault leaves the rotation open at its step.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from msgspec import structs

from nasos.errors import (
    CandidateRejected,
    CheckAndSetMismatch,
    OutcomeUnknown,
    RotationError,
    SecretDeleted,
    SecretNotFound,
)
from nasos.errors import Error as NasosError
from nasos.ledger import Outcome
from nasos.rotation.candidate import Candidate, differ, fresh, made
from nasos.rotation.journal import Entry, Fields, Journal, Member, Open, Step
from nasos.rotation.rotator import Fence, Part, Sight, Unit
from nasos.rotation.transition import ALERT_AFTER, MOST_CANDIDATES, End, Said, following
from nasos.vault.store import Record, SecretStore

Tell: TypeAlias = Callable[[str, str, Outcome, Mapping[str, str]], object]
"""Event, target, outcome, detail: the shape of `Ledger.append`."""

POLL: Final = 0.05  # seconds between looks at the consumers


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who wants a rotation, and how."""

    actor: str
    reason: str
    urgent: bool = False
    """The consumers take it up at once, also inside an order."""
    leaked: bool = False
    """What is current now is known to others: urgent, and destroyed once it is proven dead."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a rotation ended."""

    unit: str
    end: End
    failure: str
    """Why it did not rotate; empty when it did."""
    proofs: tuple[str, ...]
    seconds: float


@dataclass(slots=True)
class Run:
    """A rotator's hands, for one unit."""

    store: SecretStore
    unit: Unit
    fence: Fence
    tell: Tell
    now: Callable[[], datetime]
    proofs: list[str] = field(default_factory=list)

    def begin(self, candidate: Candidate, order: Order, left: int = MOST_CANDIDATES) -> Open:
        """Open a rotation: candidates and intent in one write.

        Raises:
            AlreadyRunning: One of this unit is open.
            SecretNotFound: A secret of the unit was never made.
        """
        current = [self._current(part.name) for part in self.unit.parts]
        entry = Entry(
            id=secrets.token_hex(6),
            unit=self.unit.name,
            step=Step.SET,
            members=tuple(
                Member(name=part.name, base=record.version)
                for part, record in zip(self.unit.parts, current, strict=True)
            ),
            left=left,
            actor=order.actor,
            reason=order.reason,
            started=self.now(),
            urgent=order.urgent or order.leaked,
            leaked=order.leaked,
        )
        candidates = [
            made(part, record.fields, candidate, clean=order.leaked)
            for part, record in zip(self.unit.parts, current, strict=True)
        ]
        opened = Journal(self.store).begin(entry, candidates)
        self._tell("rotation.begin", entry, Outcome.OK, {"reason": order.reason, "by": order.actor})
        return opened

    def finish(self, opened: Open) -> Result:
        """Go on from the journal's step to the end.

        Raises:
            LeaseLost: Another rotator took over.
            Error: A target, a consumer or Vault cannot be asked; the rotation stays open.
        """
        begun = time.monotonic()
        while True:
            said, why = self._tried(opened)
            entry = opened.entry
            following_step = following(entry.step, said, entry.left)
            if isinstance(following_step, End):
                return self._ended(opened, following_step, time.monotonic() - begun)
            given_up = said is not Said.DONE and following_step is not Step.SET
            opened = self._noted(opened, following_step, said, entry.failure or (why if given_up else ""))

    def _tried(self, opened: Open) -> tuple[Said, str]:
        entry = opened.entry
        self.fence()
        try:
            said, why = self._step(opened)
        except NasosError as error:
            self._tell("rotation.step", entry, Outcome.FAILED, {"step": entry.step.value, "error": error.message})
            raise
        outcome = Outcome.OK if said is Said.DONE else Outcome.REFUSED
        self._tell("rotation.step", entry, outcome, {"step": entry.step.value} | ({"why": why} if why else {}))
        return said, why

    def _noted(self, opened: Open, step: Step, said: Said, failure: str) -> Open:
        entry = structs.replace(opened.entry, step=step, failure=failure)
        if said is not Said.REJECTED or step is not Step.SET:
            return Journal(self.store).advance(opened, entry)
        entry = structs.replace(entry, left=entry.left - 1)
        if MOST_CANDIDATES - entry.left >= ALERT_AFTER:
            self._tell("rotation.rejected", entry, Outcome.FAILED, {"candidates": str(MOST_CANDIDATES - entry.left)})
        again = [made(part, self._current(part.name).fields, fresh, clean=entry.leaked) for part in self.unit.parts]
        return Journal(self.store).advance(opened, entry, again)

    def _ended(self, opened: Open, end: End, seconds: float) -> Result:
        entry = opened.entry
        Journal(self.store).close(opened)
        detail = {"end": end.value, "proofs": "; ".join(self.proofs), "seconds": f"{seconds:.3f}"}
        outcome = Outcome.OK if end is End.ROTATED else Outcome.FAILED
        self._tell("rotation.end", entry, outcome, detail | ({"why": entry.failure} if entry.failure else {}))
        return Result(self.unit.name, end, entry.failure, tuple(self.proofs), seconds)

    def _step(self, opened: Open) -> tuple[Said, str]:
        match opened.entry.step:
            case Step.SET | Step.TEST:
                return self._accepted(opened)
            case Step.PROMOTE:
                return self._promoted(opened)
            case Step.DELIVER:
                return self._consumed(opened)
            case Step.RESTORE:
                return self._restored(opened)
            case Step.REDELIVER:
                said, why = self._consumed(opened)
                if said is not Said.DONE:
                    raise RotationError(f"{why}, also with what was current before", "nasos rotate resume")
                return said, why
            case Step.RETIRE:
                ended = self._others_ended(opened)
                if opened.entry.leaked:
                    self._destroy(opened)
                return ended
            case Step.WITHDRAW | Step.DISCARD:
                return self._others_ended(opened)

    def _accepted(self, opened: Open) -> tuple[Said, str]:
        try:
            for part, candidate in zip(self.unit.parts, opened.candidates, strict=True):
                if opened.entry.step is Step.SET:
                    part.rotator.set(candidate, self.fence)
                else:
                    self.proofs.append(part.rotator.test(candidate))
        except CandidateRejected as error:
            return Said.REJECTED, error.message
        return Said.DONE, ""

    def _promoted(self, opened: Open) -> tuple[Said, str]:
        for member, candidate in zip(opened.entry.members, opened.candidates, strict=True):
            if not self._made_current(member.name, candidate, member.base):
                return Said.CONFLICT, f"somebody else wrote {member.name} meanwhile"
        return Said.DONE, ""

    def _made_current(self, name: str, fields: Fields, base: int) -> bool:
        """Write ``fields`` over version ``base``; False when another version is there by now."""
        current = self._current(name)
        if dict(current.fields) == dict(fields):
            return True
        if current.version != base:
            return False
        try:
            self.store.write(f"nasos/{name}", fields, cas=base)
        except (CheckAndSetMismatch, OutcomeUnknown) as error:
            # Whose write it was, or whether it was one at all, is looked up and not guessed.
            there = self._current(name)
            if dict(there.fields) == dict(fields):
                return True
            if there.version == base:
                raise error from None
            return False
        return True

    def _restored(self, opened: Open) -> tuple[Said, str]:
        for member, candidate in zip(opened.entry.members, opened.candidates, strict=True):
            current = self._current(member.name)
            if dict(current.fields) == dict(candidate):
                before = self._current(member.name, member.base)
                self._made_current(member.name, before.fields, current.version)
        return Said.DONE, ""

    def _consumed(self, opened: Open) -> tuple[Said, str]:
        """Wait until the consumers are seen with what is current, and nobody with anything else of ours."""
        current = {part.name: self._current(part.name).fields for part in self.unit.parts}
        others = [(part, old) for part, old, parted in self._ours(opened) if parted(current[part.name])]
        deadline = time.monotonic() + self.unit.overlap
        for consumer in self.unit.consumers:
            consumer.deliver(urgent=opened.entry.urgent)
        while True:
            sights = {consumer.name: consumer.look(current) for consumer in self.unit.consumers}
            broken = [name for name, sight in sights.items() if sight is Sight.BROKEN]
            waiting = [name for name, sight in sights.items() if sight is Sight.WAITING]
            late = time.monotonic() > deadline
            if broken:
                return Said.BROKEN, f"{', '.join(broken)} fails with the new one"
            if waiting and late:
                return Said.BROKEN, f"{', '.join(waiting)} did not take it up within {self.unit.overlap:.0f} s"
            if not waiting and (late or not sum(part.rotator.in_use(old) for part, old in others)):
                self.proofs.extend(f"{name} {sight.value}" for name, sight in sights.items())
                return Said.DONE, ""
            self.fence()
            time.sleep(POLL)

    def _others_ended(self, opened: Open) -> tuple[Said, str]:
        """End whatever is ours and not current."""
        for part, old, parted in self._ours(opened):
            kept = self._current(part.name).fields
            if parted(kept):
                self.proofs.append(part.rotator.revoke(old, kept, self.fence))
        return Said.DONE, ""

    def _destroy(self, opened: Open) -> None:
        """Whoever could read what leaked could read what stood there before: none of it can come back."""
        for member in opened.entry.members:
            path = f"nasos/{member.name}"
            leaked = [it.number for it in self.store.history(path) if it.number <= member.base and not it.destroyed]
            if leaked:
                self.fence()
                self.store.destroy(path, leaked)
            self.proofs.append(f"{member.name} up to version {member.base} destroyed")

    def _ours(self, opened: Open) -> list[tuple[Part, Fields, Callable[[Fields], bool]]]:
        """What was current at the beginning, and the candidates; each tells a third credential from itself."""
        found: list[tuple[Part, Fields, Callable[[Fields], bool]]] = []
        for part, member, candidate in zip(self.unit.parts, opened.entry.members, opened.candidates, strict=True):
            base: Fields = {}
            with suppress(SecretDeleted, SecretNotFound):  # destroyed by hand, or pruned: it is nobody's any more
                base = self._current(part.name, member.base).fields
            names = [name for name in {**base, **candidate} if base.get(name) != candidate.get(name)]
            records = (base, candidate) if base else (candidate,)
            found += [(part, fields, partial(differ, fields, names=names)) for fields in records]
        return found

    def _current(self, name: str, version: int | None = None) -> Record:
        return self.store.read(f"nasos/{name}", version)

    def _tell(self, event: str, entry: Entry, outcome: Outcome, detail: Mapping[str, str]) -> None:
        self.tell(event, entry.unit, outcome, {"rotation": entry.id, **detail})
