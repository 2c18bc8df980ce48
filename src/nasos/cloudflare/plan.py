"""Wanted minus observed: what has to change in one zone. Pure.

Rules: only records of ours are ever changed (`ownership`); a name where somebody else has an address or an alias is
left to him and reported, whatever it says. What is missing is made at once; what nobody asks for any more goes after
a grace, counted from when it was first found so. Labels that cannot be followed change nothing. Of two containers that
claim one name the one that has it keeps it, else the first by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from nasos.cloudflare.answers import Record
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.names import same
from nasos.cloudflare.ownership import TYPES, Owner


class Policy(StrEnum):
    """How much may be done."""

    SYNC = "sync"
    UPSERT_ONLY = "upsert-only"
    CREATE_ONLY = "create-only"


@dataclass(frozen=True, slots=True)
class Terms:
    """By whom, and how, a zone is changed."""

    owner: Owner
    policy: Policy = Policy.SYNC
    grace: timedelta = timedelta(minutes=5)
    held: frozenset[str] = frozenset()
    """Sources whose labels could not be followed: what is theirs stays."""


@dataclass(frozen=True, slots=True)
class Change:
    """All that happens to one name: together, or not at all."""

    name: str
    deletes: tuple[Record, ...] = ()
    updates: tuple[tuple[Record, Wanted], ...] = ()
    creates: tuple[Wanted, ...] = ()

    @property
    def size(self) -> int:
        """Operations."""
        return len(self.deletes) + len(self.updates) + len(self.creates)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A name that a container does not get."""

    name: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that nobody asks for any more."""

    record: Record
    until: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do in one zone, and what is left alone."""

    changes: tuple[Change, ...]
    conflicts: tuple[Conflict, ...]
    waiting: tuple[Waiting, ...]
    withheld: tuple[Change, ...]
    """What the policy forbids."""
    absent: Mapping[str, datetime]
    """ID of a record of ours -> since when nobody asks for it; to be remembered."""

    @property
    def open_names(self) -> frozenset[str]:
        """Names that are not as somebody wants them."""
        return frozenset(each.name for each in (*self.changes, *self.withheld)) | {each.name for each in self.conflicts}


def plan(
    records: Sequence[Record], wanted: Iterable[Wanted], terms: Terms, now: datetime, absent: Mapping[str, datetime]
) -> Plan:
    """What has to change in the zone that has these records.

    ``wanted`` is for this zone only; ``absent`` is what the last plan's said.
    """
    ours = _by_name(record for record in records if terms.owner.owns(record))
    foreign = _by_name(record for record in records if not terms.owner.owns(record) and record.type in {*TYPES, "NS"})
    winners, conflicts = _claims(wanted, ours, terms)
    changes: list[Change] = []
    for name, claim in sorted(winners.items()):
        # At the zone's own name NS records delegate nothing away.
        taken = [
            record
            for record in foreign.get(name, ())
            if record.type != "NS" or name not in {each.zone for each in claim}
        ]
        if taken and claim:
            conflicts.append(Conflict(name, claim[0].source, _told(taken)))
        else:
            changes.append(_change(name, ours.get(name, []), claim, terms.owner))
    unwanted = [record for name, found in ours.items() if name not in winners for record in found]
    since = {
        record.id: min(absent.get(record.id, now), now)  # a clock that was ahead must not keep it for ever
        for record in unwanted
        if terms.owner.source(record) not in terms.held
    }
    gone, waiting = _unwanted(unwanted, since, terms.grace, now)
    allowed, withheld = _permitted([*gone, *changes], ours, terms.policy)
    return Plan(
        changes=tuple(allowed),
        conflicts=tuple(sorted(conflicts, key=lambda each: (each.name, each.source))),
        waiting=tuple(waiting),
        withheld=tuple(withheld),
        absent=since,
    )


def _by_name(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(same(record.name), []).append(record)
    return found


def _claims(
    wanted: Iterable[Wanted], ours: Mapping[str, list[Record]], terms: Terms
) -> tuple[dict[str, tuple[Wanted, ...]], list[Conflict]]:
    """Whose claim each name follows, and who is left out."""
    claims: dict[str, dict[str, set[Wanted]]] = {}
    for each in wanted:
        claims.setdefault(each.name, {}).setdefault(each.source, set()).add(each)
    winners: dict[str, tuple[Wanted, ...]] = {}
    conflicts: list[Conflict] = []
    for name, by_source in claims.items():
        holders = {terms.owner.source(record) for record in ours.get(name, ())}
        if keeping := holders & terms.held:
            # Its labels cannot be followed now; nobody takes its name meanwhile.
            conflicts += [Conflict(name, source, f"{min(keeping)} has it") for source in by_source]
            winners[name] = ()
            continue
        first = min(holders & set(by_source) or by_source)
        winners[name] = tuple(sorted(by_source[first]))
        conflicts += [
            Conflict(name, source, f"{first} has it")
            for source, claim in by_source.items()
            if {replace(each, source=first) for each in claim} != by_source[first]
        ]
    return winners, conflicts


def _change(name: str, found: Sequence[Record], claim: Sequence[Wanted], owner: Owner) -> Change:
    """From what is there to what is wanted, with as few new records as possible."""
    if not claim:
        return Change(name)
    there, missing = list(found), list(claim)
    updates: list[tuple[Record, Wanted]] = []
    # First what has its content already, then any of the same type: an update keeps the record's ID and settings.
    for fits in (_same_content, _same_type):
        for each in tuple(missing):
            match = next((record for record in there if fits(record, each)), None)
            if match is not None:
                there.remove(match)
                missing.remove(each)
                updates += [(match, each)] if _drifted(match, each, owner) else []
    return Change(name, tuple(there), tuple(updates), tuple(missing))


def _same_content(record: Record, wanted: Wanted) -> bool:
    content = record.content or ""
    return record.type == wanted.type and (content == wanted.content or same(content) == wanted.content)


def _same_type(record: Record, wanted: Wanted) -> bool:
    return record.type == wanted.type


def _drifted(record: Record, wanted: Wanted, owner: Owner) -> bool:
    return not _same_content(record, wanted) or (
        bool(record.proxied), record.ttl, record.comment
    ) != (wanted.proxied, wanted.ttl, owner.comment(wanted.source))  # fmt: skip


def _unwanted(
    records: Iterable[Record], since: Mapping[str, datetime], grace: timedelta, now: datetime
) -> tuple[list[Change], list[Waiting]]:
    gone: dict[str, list[Record]] = {}
    waiting: list[Waiting] = []
    for record in sorted(records, key=lambda record: (same(record.name), record.id)):
        if record.id not in since:
            continue
        if now - since[record.id] >= grace:
            gone.setdefault(same(record.name), []).append(record)
        else:
            waiting.append(Waiting(record, since[record.id] + grace))
    return [Change(name, deletes=tuple(found)) for name, found in gone.items()], waiting


def _permitted(
    changes: Iterable[Change], ours: Mapping[str, list[Record]], policy: Policy
) -> tuple[list[Change], list[Change]]:
    """What the policy allows of each change, and what it does not."""
    allowed: list[Change] = []
    withheld: list[Change] = []
    for change in changes:
        may = change if policy is Policy.SYNC else _upsert(change)
        if policy is Policy.CREATE_ONLY and change.name in ours:
            may = Change(change.name)
        allowed += [may] if may.size else []
        if may != change:
            withheld.append(
                Change(
                    change.name, change.deletes if not may.deletes else (),
                    tuple(each for each in change.updates if each not in may.updates),
                    tuple(each for each in change.creates if each not in may.creates),
                )
            )  # fmt: skip
    return allowed, withheld


def _upsert(change: Change) -> Change:
    """Without removing; an alias and an address exclude each other, so that one of them would have to go first."""
    kinds = {each.type for each in change.deletes} | {each.type for each in change.creates}
    if change.deletes and change.creates and "CNAME" in kinds:
        return Change(change.name)
    return replace(change, deletes=())


def _told(records: Sequence[Record]) -> str:
    return f"somebody else's {'/'.join(sorted({record.type for record in records}))} record is there"
