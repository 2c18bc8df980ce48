"""A plan carried out until the zone is as it should be.

Rules: one batch for all changes, as far as a batch goes. A batch that is refused is halved until the change that cannot
be made stands alone, so that one bad name holds nobody up; a name's own changes are never torn apart. A batch whose
answer was lost, or that met what somebody else had done, is never repeated: the zone is read again, and what is still
missing then is planned anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from nasos.cloudflare.answers import Record, Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.dns import LARGEST_BATCH, records_of, send_batch
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Change, Plan
from nasos.cloudflare.refusal import FULL, STALE
from nasos.errors import ChangeUnknown, CloudflareRefused

ROUNDS: Final = 4
"""Looks at a zone in which answers are lost or others are at work."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that Cloudflare does not make."""

    change: Change
    error: CloudflareRefused


@dataclass(frozen=True, slots=True)
class Applied:
    """How it ended."""

    plan: Plan
    """The last one: what waits, what was in the way."""
    done: tuple[Change, ...]
    refused: tuple[Refused, ...]

    @property
    def detail(self) -> dict[str, str]:
        """Names, for the ledger."""
        told = {
            "created": [each.name for each in self.done if each.creates],
            "updated": [each.name for each in self.done if each.updates],
            "removed": [each.name for each in self.done if each.deletes],
            "refused": [each.change.name for each in self.refused],
        }
        return {what: " ".join(names)[:1000] for what, names in told.items() if names}


def converge(client: Client, zone: Zone, owner: Owner, planned: Callable[[Sequence[Record]], Plan]) -> Applied:
    """Plan from what the zone holds, carry it out, and look again only when there is doubt.

    Raises:
        ChangeUnknown: The answers were lost again and again.
    """
    done: list[Change] = []
    refused: list[Refused] = []
    doubtful: tuple[Change, ...] = ()
    left = ROUNDS
    while True:
        left -= 1
        plan = planned(records_of(client, zone))
        done += [change for change in doubtful if change.name not in plan.open_names]
        known = {each.change for each in refused}
        doubtful = tuple(change for change in plan.changes if change not in known)
        sender = _Sender(client, zone, owner)
        try:
            sender.send(doubtful)
        except ChangeUnknown:
            if not left:
                raise
            continue
        done += sender.done
        stale = [each for each in sender.refused if left and STALE & set(each.error.codes)]
        refused += [each for each in sender.refused if each not in stale]
        if not stale:
            return Applied(plan, tuple(done), tuple(refused))
        doubtful = tuple(each.change for each in stale)


@dataclass
class _Sender:
    """One round's changes on their way."""

    client: Client
    zone: Zone
    owner: Owner
    done: list[Change] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    full: CloudflareRefused | None = None

    def send(self, changes: Sequence[Change]) -> None:
        # What makes room goes first: the zone may be full.
        ordered = sorted(changes, key=lambda change: (len(change.creates) - len(change.deletes), change.name))
        for chunk in _chunks(ordered):
            self._send(chunk)

    def _send(self, changes: Sequence[Change]) -> None:
        if self.full and all(len(change.creates) > len(change.deletes) for change in changes):
            self.refused += [Refused(change, self.full) for change in changes]
            return
        try:
            send_batch(self.client, self.zone, changes, self.owner)
        except CloudflareRefused as error:
            if len(changes) > 1:
                middle = len(changes) // 2
                self._send(changes[:middle])
                self._send(changes[middle:])
                return
            self.full = error if FULL & set(error.codes) else self.full
            self.refused.append(Refused(changes[0], error))
        else:
            self.done += changes


def _chunks(changes: Sequence[Change]) -> Iterator[list[Change]]:
    chunk: list[Change] = []
    for change in changes:
        if chunk and sum(each.size for each in chunk) + change.size > LARGEST_BATCH:
            yield chunk
            chunk = []
        chunk.append(change)
    if chunk:
        yield chunk
