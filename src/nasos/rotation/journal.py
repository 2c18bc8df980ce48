"""The journal of one rotation: what is about to be done, written to Vault before it is done.

Rules:

* One entry per unit, at ``nasos/_rotation/<unit>``; it exists as long as the rotation is open, and no second rotation
  of the unit can begin meanwhile (check-and-set 0).
* The candidates' values lie beside the journal, in fields of their own, so that making a candidate and noting the
  intent to set it are one write. The journal itself holds names, versions and times, and no value.
* Every change is a check-and-set on the version that was read: a rotator that was paused, and whose work another one
  took over, fails at its next step instead of going on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from nasos.errors import (
    AlreadyRunning,
    CheckAndSetMismatch,
    OutcomeUnknown,
    RotationError,
    SecretDeleted,
    SecretNotFound,
)
from nasos.secret import Secret
from nasos.vault.store import Record, SecretStore

FOLDER: Final = "nasos/_rotation"
_STATE: Final = "journal"

Fields: TypeAlias = Mapping[str, Secret]


class Step(enum.StrEnum):
    """What is being done; each can be done again from its beginning."""

    SET = "set"
    """Make the target accept the candidates."""
    TEST = "test"
    """Use them."""
    PROMOTE = "promote"
    """Write them to the secrets' paths: from here on they are current."""
    DELIVER = "deliver"
    """Tell the consumers and see that they work with them."""
    RETIRE = "retire"
    """End what was current before, and prove it dead."""
    WITHDRAW = "withdraw"
    """Give up before promotion: end the candidates."""
    RESTORE = "restore"
    """Give up after promotion: make current what was current before."""
    REDELIVER = "redeliver"
    """See that the consumers work with that."""
    DISCARD = "discard"
    """End the candidates that were current for a while."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One secret of the unit."""

    name: str
    """Its path below ``nasos/``."""
    base: int
    """The version that was current when the rotation began."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal says; no value."""

    id: str
    unit: str
    step: Step
    members: tuple[Member, ...]
    left: int
    """Candidates that may still be tried, these included."""
    actor: str
    reason: str
    started: datetime
    urgent: bool = False
    """The consumers do not choose their moment."""
    leaked: bool = False
    """What was current before is destroyed, and can never come back."""
    failure: str = ""
    """Why it is being given up; empty while it is not."""


@dataclass(frozen=True, slots=True)
class Open:
    """An open rotation: the entry, its candidates, and the version of the journal that holds both."""

    entry: Entry
    candidates: tuple[Fields, ...]
    """One per member, in their order."""
    version: int


class Journal:
    """All open rotations of a store."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    def begin(self, entry: Entry, candidates: Sequence[Fields]) -> Open:
        """Open a rotation.

        Raises:
            AlreadyRunning: One of this unit is open.
        """
        opened = Open(entry, tuple(candidates), 0)
        try:
            return self._written(opened)
        except CheckAndSetMismatch:
            raise AlreadyRunning(f"a rotation of {entry.unit} is open already", "nasos rotate resume") from None

    def advance(self, opened: Open, entry: Entry, candidates: Sequence[Fields] | None = None) -> Open:
        """Note the next step, with new candidates where there are some.

        Raises:
            CheckAndSetMismatch: Another rotator went on with it.
        """
        kept = opened.candidates if candidates is None else tuple(candidates)
        return self._written(Open(entry, kept, opened.version))

    def close(self, opened: Open) -> None:
        """The rotation is over: remove the entry with all candidates that it ever held."""
        self._store.forget(_path(opened.entry.unit))

    def read(self, unit: str) -> Open | None:
        """The open rotation of a unit; None when there is none.

        Raises:
            RotationError: What stands there is no journal of ours.
        """
        try:
            record = self._store.read(_path(unit))
        except (SecretNotFound, SecretDeleted):
            return None
        return _decoded(record)

    def open(self) -> tuple[Open, ...]:
        """All open rotations, oldest first."""
        found = [opened for unit in self._units("") if (opened := self.read(unit))]
        return tuple(sorted(found, key=lambda opened: opened.entry.started))

    def _units(self, below: str) -> list[str]:
        units: list[str] = []
        for name in self._store.list(f"{FOLDER}/{below}".rstrip("/")):
            if name.endswith("/"):
                units += self._units(below + name)
            elif not name.startswith("_"):  # the lease, and what else is the rotators' own
                units.append(below + name)
        return units

    def _written(self, opened: Open) -> Open:
        path, fields = _path(opened.entry.unit), _encoded(opened)
        try:
            return replace(opened, version=self._store.write(path, fields, cas=opened.version))
        except OutcomeUnknown:
            # The answer was lost, not necessarily the write: what stands there tells.
            there = self._store.read(path)
            if there.version == opened.version + 1 and dict(there.fields) == fields:
                return replace(opened, version=there.version)
            raise


def _path(unit: str) -> str:
    return f"{FOLDER}/{unit}"


def _encoded(opened: Open) -> dict[str, Secret]:
    fields = {_STATE: Secret(msgspec.json.encode(opened.entry).decode())}
    for number, candidate in enumerate(opened.candidates):
        fields |= {f"{number}.{name}": value for name, value in candidate.items()}
    return fields


def _decoded(record: Record) -> Open:
    try:
        entry = msgspec.json.decode(record.fields[_STATE].reveal(), type=Entry)
    except (KeyError, msgspec.MsgspecError):
        raise RotationError(
            f"what stands at {record.path} is no journal of a rotation", f"nasos secret history {record.path}"
        ) from None
    candidates = tuple(
        {name.partition(".")[2]: value for name, value in record.fields.items() if name.startswith(f"{number}.")}
        for number in range(len(entry.members))
    )
    return Open(entry, candidates, record.version)
