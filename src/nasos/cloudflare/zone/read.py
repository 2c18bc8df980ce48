"""What a zone holds, read; what the token may not see is named with the permission that it lacks, and left alone."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.refusal import NO_RULESET
from nasos.cloudflare.zone.plan import Phase, State
from nasos.cloudflare.zone.rules import DDOS, PHASES, Rule
from nasos.cloudflare.zone.settings import Note, Observed
from nasos.errors import CloudflareRefused, PermissionMissing


class _Setting(msgspec.Struct, frozen=True):
    id: str
    value: object = None
    editable: bool = True
    modified_on: datetime | None = None


class Ruleset(msgspec.Struct, frozen=True):
    """The rules of one phase."""

    id: str
    rules: tuple[Rule, ...] = ()


def state_of(client: Client, zone: Zone) -> State:
    """Settings and rules; one question for all settings, one for each phase."""
    unseen: list[Note] = []
    settings: dict[str, Observed] | None = None
    try:
        found = client.read(f"/zones/{zone.id}/settings", tuple[_Setting, ...])
        settings = {each.id: Observed(each.id, each.value, each.editable, each.modified_on) for each in found}
    except PermissionMissing as error:
        unseen.append(Note("settings", error.message, wrong=True))
    phases: dict[str, Phase] = {}
    for name in PHASES:
        try:
            phases[name] = _phase(client, zone, name)
        except PermissionMissing as error:
            # On a Free plan nothing is wanted there.
            wrong = name != DDOS or zone.plan.legacy_id not in ("free", "")
            unseen.append(Note(f"rules in {name}", error.message, wrong=wrong))
    return State(settings, phases, tuple(unseen))


def _phase(client: Client, zone: Zone, name: str) -> Phase:
    try:
        found = client.read(f"/zones/{zone.id}/rulesets/phases/{name}/entrypoint", Ruleset)
    except CloudflareRefused as error:
        if NO_RULESET in error.codes:
            return Phase()
        raise
    return Phase(found.id, found.rules)
