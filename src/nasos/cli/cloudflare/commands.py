"""The commands: show what would change, change it, show what there is.

Rules: ``plan`` changes nothing, also no memory of a grace; ``apply`` remembers zone by zone, so that a run that was
killed between two of them is simply run again. Exit code 1: something is to be done, in the way, or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.cloudflare.target import Wish, client_of, owner_of, require_extra, wish_of
from nasos.cli.recorded import recorded, tell
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, ApiTokenRefused
from nasos.files import private_directory
from nasos.ledger import Outcome
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.cloudflare.answers import Record, Zone
    from nasos.cloudflare.apply import Applied
    from nasos.cloudflare.client import Client
    from nasos.cloudflare.memory import Memory
    from nasos.cloudflare.plan import Plan

_compose = click.option("--compose", metavar="FILE", help='Compose file with the labels; "-" reads it from stdin.')
_prune = click.option("--prune", is_flag=True, help="Remove at once what no label asks for any more.")


@click.group()
def cloudflare() -> None:
    """DNS records by the labels cloudflare.subdomain and cloudflare.proxied; only records of ours are ever changed."""


@cloudflare.command()
@_compose
@_prune
@output.json_option
def plan(compose: str | None, *, prune: bool, as_json: bool) -> int:
    """Show what would change; exit code 1 when something would."""
    require_extra()
    from nasos.cli.cloudflare import shown
    from nasos.cloudflare.dns import records_of
    from nasos.cloudflare.memory import recall
    from nasos.cloudflare.site import zones_of

    settings = load()
    with client_of(settings) as client:
        zones = zones_of(client, settings.cloudflare)
        wish, memory = wish_of(settings, zones, compose, prune=prune), recall(settings.home)
        plans = [(zone, _planned(wish, memory, zone, records_of(client, zone))) for zone in zones]
    documents = [shown.zone(zone, found, found.changes) for zone, found in plans]
    _tell(documents, wish, done=False, as_json=as_json)
    open_ = any(found.open_names for _, found in plans)
    return EXIT_FINDINGS if open_ or wish.desired.mistakes else EXIT_CLEAN


@cloudflare.command()
@_compose
@_prune
@output.json_option
def apply(compose: str | None, *, prune: bool, as_json: bool) -> int:
    """Carry the plan out; exit code 1 when something is in the way or wrong."""
    require_extra()
    from nasos.cli.cloudflare import shown
    from nasos.cloudflare.site import zones_of

    settings = load()
    with client_of(settings) as client:
        zones = zones_of(client, settings.cloudflare)
        wish = wish_of(settings, zones, compose, prune=prune)
        ends = [(zone, _applied(client, settings, wish, zone)) for zone in zones]
    documents = [shown.zone(zone, end.plan, end.done, end.refused) for zone, end in ends]
    _tell(documents, wish, done=True, as_json=as_json)
    wrong = any(end.refused or end.plan.conflicts or end.plan.withheld for _, end in ends)
    return EXIT_FINDINGS if wrong or wish.desired.mistakes else EXIT_CLEAN


@cloudflare.command()
@output.json_option
def status(*, as_json: bool) -> int:
    """Show what the token may do, and how many records of ours each zone holds."""
    require_extra()
    from nasos.cloudflare.dns import records_of
    from nasos.cloudflare.ownership import Owner
    from nasos.cloudflare.site import zones_of

    settings = load()
    owner = Owner(owner_of(settings))
    with client_of(settings) as client:
        token = _token_status(client)
        zones = [
            _zone_status(zone, records_of(client, zone), owner.owns) for zone in zones_of(client, settings.cloudflare)
        ]
    if as_json:
        output.document({"token": token, "owner": owner.name, "zones": zones})
    else:
        output.say(f"token: {token}; records of ours: {owner.marker}")
        for zone in zones:
            may = {True: "may be changed", False: "may not be changed: the token lacks DNS · Edit"}
            rights = may.get(zone["may_edit"] is True) if zone["may_edit"] is not None else "rights are not told"
            output.say(f"{zone['zone']} ({zone['plan']}): {zone['ours']} of {zone['records']} records, {rights}")
    bad = token not in {"active", "unknown"} or any(zone["may_edit"] is False for zone in zones)
    return EXIT_FINDINGS if bad else EXIT_CLEAN


def _token_status(client: Client) -> str:
    try:
        return client.verify().status
    except ApiTokenRefused:
        return "unknown"  # an account's own token is not known there; whether it works, the zones tell


def _zone_status(zone: Zone, records: Sequence[Record], owns: object) -> dict[str, object]:
    rights = zone.permissions
    return {
        "zone": zone.name,
        "id": zone.id,
        "plan": zone.plan.legacy_id or "unknown",
        "records": len(records),
        "ours": sum(map(owns, records)) if callable(owns) else 0,
        "may_edit": "#dns_records:edit" in rights if rights else None,
    }


def _planned(wish: Wish, memory: Memory, zone: Zone, records: Sequence[Record]) -> Plan:
    from nasos.cloudflare.names import same
    from nasos.cloudflare.plan import plan as compare

    mine = [each for each in wish.desired.wanted if each.zone == same(zone.name)]
    return compare(records, mine, wish.terms, datetime.now(UTC), memory.of(zone.id))


def _applied(client: Client, settings: Settings, wish: Wish, zone: Zone) -> Applied:
    from nasos.cloudflare.apply import converge
    from nasos.cloudflare.memory import recall, remember

    if not settings.home.is_dir():
        private_directory(settings.home)
    memory = recall(settings.home)
    with recorded(settings, "cloudflare.apply", zone.name, only_failures=True):
        end = converge(client, zone, wish.terms.owner, lambda records: _planned(wish, memory, zone, records))
        remember(settings.home, memory, zone.id, end.plan.absent)
    if end.done or end.refused:
        outcome = Outcome.FAILED if end.refused else Outcome.OK
        tell(settings, "cloudflare.apply", zone.name, outcome, end.detail)
    return end


def _tell(documents: list[dict[str, object]], wish: Wish, *, done: bool, as_json: bool) -> None:
    from nasos.cli.cloudflare import shown

    if as_json:
        output.document({"zones": documents, "mistakes": shown.mistakes(wish.desired.mistakes)})
        return
    for document in documents:
        shown.show(document, done=done)
    shown.show_mistakes(wish.desired.mistakes)
