"""A zone's plan carried out until nothing is left to do.

Rules: one change at a time, each by itself; when an answer was lost, or somebody else was at work, the zone is read
again and planned anew: nothing is sent twice on a guess. A change that Cloudflare refuses stops no other one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.zone.plan import State, ZonePlan
from nasos.cloudflare.zone.read import Ruleset, state_of
from nasos.cloudflare.zone.rules import CACHE, DDOS, RuleChange
from nasos.cloudflare.zone.settings import SettingChange
from nasos.errors import ChangeUnknown, CloudflareError, CloudflareRefused, PermissionMissing

ROUNDS: Final = 4

Change = SettingChange | RuleChange


@dataclass(frozen=True, slots=True)
class NotDone:
    """A change that Cloudflare does not make."""

    change: Change
    error: CloudflareError


@dataclass(frozen=True, slots=True)
class Carried:
    """How it ended."""

    done: tuple[Change, ...]
    refused: tuple[NotDone, ...]
    left: ZonePlan
    """The plan after the last look."""


def carry(client: Client, zone: Zone, planned: Callable[[State], ZonePlan]) -> Carried:
    """Plan from what the zone holds, carry it out, look whether it holds.

    Raises:
        ChangeUnknown: The answers were lost again and again.
    """
    done: dict[str, Change] = {}
    refused: dict[str, NotDone] = {}
    doubtful: dict[str, Change] = {}
    lost: ChangeUnknown | None = None
    for _ in range(ROUNDS):
        plan = planned(state_of(client, zone))
        open_ = [change for change in plan.changes if change.what not in refused]
        done |= {what: change for what, change in doubtful.items() if what not in {each.what for each in open_}}
        if not open_:
            return Carried(tuple(done.values()), tuple(refused.values()), plan)
        doubtful = {}
        for change in _one_for_each_new_phase(open_):
            try:
                _make(client, zone, change)
            except ChangeUnknown as error:
                lost, doubtful[change.what] = error, change
            except (CloudflareRefused, PermissionMissing) as error:
                refused[change.what] = NotDone(change, error)
            else:
                done[change.what] = change
    raise lost or ChangeUnknown(
        "the zone is not as it was left: somebody else changes it", "nasos cloudflare zone plan"
    )


def _one_for_each_new_phase(changes: Sequence[Change]) -> Iterator[Change]:
    """The first rule makes the phase's ruleset, and the others go there in the next round."""
    begun: set[str] = set()
    for change in changes:
        if isinstance(change, RuleChange) and not change.ruleset:
            if change.phase in begun:
                continue
            begun.add(change.phase)
        yield change


def _make(client: Client, zone: Zone, change: Change) -> None:
    at = f"/zones/{zone.id}"
    if isinstance(change, SettingChange):
        client.change("PATCH", f"{at}/settings/{change.name}", object, {"value": change.after})
        return
    need, rules = _permission(change.phase), f"{at}/rulesets/{change.ruleset}/rules"
    if not change.ruleset:
        body = {"name": "default", "kind": "zone", "phase": change.phase, "rules": [change.body]}
        client.change("POST", f"{at}/rulesets", Ruleset, body, need=need)
    elif change.rule is None:
        client.change("POST", rules, Ruleset, change.body, need=need)
    elif change.body is None:
        client.change("DELETE", f"{rules}/{change.rule.id}", Ruleset, need=need)
    else:
        client.change("PATCH", f"{rules}/{change.rule.id}", Ruleset, change.body, need=need)


def _permission(phase: str) -> str:
    known = {CACHE: "Zone · Cache Rules · Edit", DDOS: "Zone · HTTP DDoS Managed Ruleset · Edit"}
    return known.get(phase, "Zone · Zone WAF · Edit")
