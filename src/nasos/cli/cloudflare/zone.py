"""``nasos cloudflare zone plan | apply``: the zone's settings and rules.

Rules: exit code 1 when something would change, was refused, or cannot be as it should; what the zone's plan does not
include is said, and is no finding.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.cloudflare.target import owner_of, require_extra, zone_client_of
from nasos.cli.recorded import recorded, tell
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, SettingsError
from nasos.files import private_directory
from nasos.ledger import Outcome
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.cloudflare.answers import Zone
    from nasos.cloudflare.client import Client
    from nasos.cloudflare.zone.carry import Carried
    from nasos.cloudflare.zone.plan import Aim, State, ZonePlan


@click.group()
def zone() -> None:
    """The zone's security: TLS settings, WAF, rate limit, cache; only rules of ours are ever changed."""


@zone.command()
@output.json_option
def plan(*, as_json: bool) -> int:
    """Show what would change in the zone; exit code 1 when something would."""
    require_extra()
    from nasos.cloudflare.site import zones_of
    from nasos.cloudflare.zone.read import state_of

    settings = load()
    with zone_client_of(settings) as client:
        at = zones_of(client, settings.cloudflare)[0]
        found = planned(state_of(client, at), aim_of(settings, at))
    _show(at, found, (), (), as_json=as_json)
    return EXIT_CLEAN if found.clean else EXIT_FINDINGS


@zone.command()
@output.json_option
def apply(*, as_json: bool) -> int:
    """Make the zone what it is to be; exit code 1 when something cannot be done."""
    require_extra()
    from nasos.cloudflare.site import zones_of

    settings = load()
    with zone_client_of(settings) as client:
        at = zones_of(client, settings.cloudflare)[0]
        end = applied(settings, client, at)
    refused = [(each.change.what, each.error.message) for each in end.refused]
    _show(at, end.left, [change.what for change in end.done], refused, as_json=as_json)
    return EXIT_FINDINGS if end.refused or not end.left.clean else EXIT_CLEAN


def applied(settings: Settings, client: Client, at: Zone) -> Carried:
    """Carry it out, on record."""
    from nasos.cloudflare.zone.carry import carry

    aim = aim_of(settings, at)
    if not settings.home.is_dir():
        private_directory(settings.home)
    with recorded(settings, "cloudflare.zone", at.name, only_failures=True):
        end = carry(client, at, lambda state: planned(state, aim))
    if end.done or end.refused:
        outcome = Outcome.FAILED if end.refused else Outcome.OK
        told = {
            "changed": ", ".join(each.what for each in end.done)[:1000],
            "refused": ", ".join(each.change.what for each in end.refused)[:1000],
        }
        tell(settings, "cloudflare.zone", at.name, outcome, {key: text for key, text in told.items() if text})
    return end


def planned(state: State, aim: Aim) -> ZonePlan:
    """What is to be done now."""
    from nasos.cloudflare.zone.plan import plan as compare

    return compare(state, aim, datetime.now(UTC))


def aim_of(settings: Settings, at: Zone) -> Aim:
    """What is wanted of this zone."""
    from nasos.cloudflare.names import same, zone_of
    from nasos.cloudflare.zone.plan import Aim
    from nasos.tls import edge_hosts
    from nasos.tls.trust import by_others

    hosts = [same(host) for host in edge_hosts(settings.tls.hosts)]
    return Aim(
        owner=owner_of(settings),
        hosts=tuple(host for host in hosts if zone_of(host, (same(at.name),))),
        plan=at.plan.legacy_id,
        origin_trusted=by_others(settings.home / "tls", settings.tls),
        left_alone=frozenset(settings.cloudflare.table.untouched),
    )


def _show(
    at: Zone, left: ZonePlan, done: list[str] | tuple[()], refused: list[tuple[str, str]] | tuple[()], *, as_json: bool
) -> None:
    to_do = [_entry(change) for change in left.changes if change.what not in dict(refused)]
    notes = [{"what": note.what, "why": note.why, "wrong": note.wrong} for note in left.notes]
    if as_json:
        output.document({
            "zone": at.name, "plan": at.plan.legacy_id or "unknown", "done": list(done), "to_do": to_do,
            "refused": [{"what": what, "reason": reason} for what, reason in refused], "notes": notes,
        })  # fmt: skip
        return
    output.say(f"{at.name} ({at.plan.legacy_id or 'plan unknown'})")
    lines = [f"  ✓ {what}" for what in done]
    lines += [f"  {entry['action']} {entry['what']}{entry['how']}" for entry in to_do]
    lines += [f"  ! {what}: {reason}" for what, reason in refused]
    lines += [f"  {'!' if note.wrong else '-'} {note.what}: {note.why}" for note in left.notes]
    for line in lines or ["  nothing to do"]:
        output.say(line)


def _entry(change: object) -> dict[str, object]:
    from nasos.cloudflare.zone.rules import RuleChange
    from nasos.cloudflare.zone.settings import SettingChange

    match change:
        case SettingChange():
            return {"action": "~", "what": change.what, "how": f": {_flat(change.before)} -> {_flat(change.after)}"}
        case RuleChange():
            action = "+" if change.rule is None else "-" if change.body is None else "~"
            how = f": {change.body['expression']}" if change.body else ""
            return {"action": action, "what": change.what, "how": how}
    raise SettingsError("there is no such change")


def _flat(value: object) -> str:
    inner = value.get("strict_transport_security") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        return str(value)
    return f"{inner.get('max_age', 0)} s" if inner.get("enabled") else "off"
