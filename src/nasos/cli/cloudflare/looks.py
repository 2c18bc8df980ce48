"""What the security test asks Cloudflare.

Rules: tokens are tried side by side, because a check has ten seconds; nothing is asked before a check asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from nasos.checks.target import Front
from nasos.cli.cloudflare.target import owner_of, require_extra, stored, zone_client_of
from nasos.cloudflare import permissions, tokens
from nasos.cloudflare.permissions import Task
from nasos.errors import SettingsError
from nasos.secret import Secret
from nasos.settings import CloudflareSettings, Settings

if TYPE_CHECKING:
    from nasos.cloudflare.client import Client
    from nasos.cloudflare.zone.plan import ZonePlan

SECONDS = 5.0
"""For one answer, and for the patience that Cloudflare asks for."""

T = TypeVar("T")


def front_of(settings: Settings) -> Front | None:
    """What can be asked; None where no zone is named."""
    if not settings.cloudflare.zone_id and not settings.cloudflare.table.zones:
        return None

    def held() -> Sequence[permissions.Held]:
        from nasos.cloudflare import examine

        return _each(settings, examine.held)

    def excess() -> Sequence[permissions.Excess]:
        from nasos.cloudflare import examine

        return _each(settings, examine.excess)

    return Front(tokens=held, excess=excess, records=partial(_records, settings), zone=partial(_zone, settings))


def _each(settings: Settings, look: Callable[[Client, CloudflareSettings, Task, str], T]) -> list[T]:
    require_extra()

    def one(found: tuple[Task, str, Secret]) -> T:
        task, place, token = found
        with _client(settings, token) as client:
            return look(client, settings.cloudflare, task, place)

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, _tokens(settings)))


def _tokens(settings: Settings) -> list[tuple[Task, str, Secret]]:
    """All that there are, with what they are for and where they are kept."""
    found = [(permissions.RECORDS, ".env", settings.cloudflare.api_token)]
    if settings.cloudflare.api_token is None:
        found = [(permissions.RECORDS, tokens.RECORDS, stored(settings, tokens.RECORDS))]
    found += [
        (permissions.ZONE, tokens.ZONE, stored(settings, tokens.ZONE)),
        (permissions.ACME, tokens.ACME, stored(settings, tokens.ACME)),
    ]
    return [(task, place, token) for task, place, token in found if token is not None]


def _records(settings: Settings) -> tuple[str, ...] | None:
    """What leads past Cloudflare, in each zone that has a name of ours."""
    token = settings.cloudflare.api_token or stored(settings, tokens.RECORDS)
    if settings.tls.mode != "cloudflare" or token is None:
        return None
    require_extra()
    from nasos.cloudflare.dns import records_of
    from nasos.cloudflare.names import content_of, same, zone_of
    from nasos.cloudflare.past import past
    from nasos.cloudflare.site import zones_of

    found: list[str] = []
    table = settings.cloudflare.table
    targets = [content_of(text)[1] for text in (*table.target, *table.allowed_targets)] if table.target else []
    with _client(settings, token) as client:
        zones = zones_of(client, settings.cloudflare)
        for zone in zones:
            names = [same(each.name) for each in zones]
            hosts = [same(host) for host in settings.tls.hosts if zone_of(same(host), names) == same(zone.name)]
            found += past(records_of(client, zone), hosts, targets) if hosts else ()
    return tuple(found)


def _zone(settings: Settings) -> ZonePlan | None:
    """What would change, where the zone's security is ours."""
    require_extra()
    from nasos.cli.cloudflare.zone import aim_of, planned
    from nasos.cloudflare.site import zones_of
    from nasos.cloudflare.zone.read import state_of
    from nasos.cloudflare.zone.rules import mark

    try:
        owner = owner_of(settings)
        client = zone_client_of(settings)
    except SettingsError:
        if settings.tls.mode == "cloudflare":
            raise
        return None  # nobody could have applied anything
    with client:
        at = zones_of(client, settings.cloudflare)[0]
        state = state_of(client, at)
        refs = [rule.ref for phase in state.phases.values() for rule in phase.found]
        ours = settings.tls.mode == "cloudflare" or any(ref.startswith(mark(owner)) for ref in refs)
        return planned(state, aim_of(settings, at)) if ours else None


def _client(settings: Settings, token: Secret) -> Client:
    from nasos.cloudflare.client import Client, Manner

    return Client(token, settings.cloudflare.table.api, Manner(SECONDS, SECONDS))
