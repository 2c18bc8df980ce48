"""Wanted minus observed, for a whole zone; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nasos.cloudflare.zone import rules
from nasos.cloudflare.zone.rules import PHASES, Rule, RuleChange
from nasos.cloudflare.zone.settings import Note, Observed, SettingChange, settings


@dataclass(frozen=True, slots=True)
class Phase:
    """The rules of one phase; ``ruleset`` is empty where it has none yet."""

    ruleset: str = ""
    found: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """What a zone holds, as far as the token may see it."""

    settings: Mapping[str, Observed] | None
    """None: it may not."""
    phases: Mapping[str, Phase]
    unseen: tuple[Note, ...] = ()
    """What it may not see, with the permission that is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is wanted of a zone."""

    owner: str
    hosts: tuple[str, ...]
    """Ours, in this zone."""
    plan: str
    """What is paid for the zone: ``free`` ..."""
    origin_trusted: bool
    """Whether Cloudflare accepts the certificate that the edge shows."""
    left_alone: frozenset[str] = frozenset()
    """Settings that are not touched."""


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """What is to be done, and what is not."""

    changes: tuple[SettingChange | RuleChange, ...] = ()
    notes: tuple[Note, ...] = field(default=())

    @property
    def clean(self) -> bool:
        """Nothing to do, and nothing wrong."""
        return not self.changes and not any(note.wrong for note in self.notes)


def plan(state: State, aim: Aim, now: datetime) -> ZonePlan:
    """What makes the zone what it is to be."""
    changed: list[SettingChange | RuleChange] = []
    notes: list[Note] = [*state.unseen]
    if state.settings is not None:
        found, said = settings(
            state.settings, now, origin_trusted=aim.origin_trusted, left_alone=aim.left_alone
        )  # fmt: skip
        changed, notes = [*changed, *found], [*notes, *said]
    wanted, said = rules.wanted(aim.hosts, aim.plan)
    notes += said
    for name in PHASES:
        if name not in state.phases:
            continue
        phase = state.phases[name]
        ours = [each for each in wanted if each.phase == name]
        more, said = rules.changes(
            name, ruleset=phase.ruleset, found=phase.found, rules=ours, owner=aim.owner, plan=aim.plan
        )
        changed, notes = [*changed, *more], [*notes, *said]
    return ZonePlan(tuple(changed), tuple(notes))
