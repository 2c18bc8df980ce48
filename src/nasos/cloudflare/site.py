"""What the settings mean at Cloudflare: a client, its zones, what labels may ask for, on which terms.

Rules: at least one zone is named, every one is looked up by its whole name or its ID, and is active.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as made
from datetime import timedelta

from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client, Manner
from nasos.cloudflare.dns import require_active, zone_by_id, zone_by_name
from nasos.cloudflare.labels import Rules
from nasos.cloudflare.names import same
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Policy, Terms
from nasos.cloudflare.standing import running
from nasos.errors import Error, SettingsError
from nasos.secret import Secret
from nasos.settings import CloudflareSettings


@dataclass(frozen=True, slots=True)
class Site:
    """Cloudflare, as far as we may change it."""

    client: Client
    zones: tuple[Zone, ...]
    rules: Rules
    terms: Terms
    since: float = made(default_factory=running)
    """Seconds since boot."""


def connected(token: Secret, settings: CloudflareSettings, owner: str, manner: Manner | None = None) -> Site:
    """Look the zones up.

    Raises:
        SettingsError: None is named.
        CloudflareError: They cannot be found, or are not ours to change.
    """
    client = Client(token, settings.table.api, manner)
    try:
        zones = zones_of(client, settings)
    except Error:
        client.close()
        raise
    return Site(client, zones, rules_of(settings, zones), terms_of(settings, owner))


def zones_of(client: Client, settings: CloudflareSettings) -> tuple[Zone, ...]:
    """That of ``CLOUDFLARE_ZONE_ID`` first; every one of them active.

    Raises:
        SettingsError: None is named.
    """
    found = named(client, settings)
    for zone in found:
        require_active(zone)
    return found


def named(client: Client, settings: CloudflareSettings) -> tuple[Zone, ...]:
    """The same, whatever has become of them.

    Raises:
        SettingsError: None is named.
    """
    known = settings.zone_id
    found = [zone_by_id(client, known)] if known else []
    for name in settings.table.zones:
        zone = zone_by_name(client, name)
        found += [zone] if zone.id not in {each.id for each in found} else []
    if not found:
        raise SettingsError("no Cloudflare zone is named", "set CLOUDFLARE_ZONE_ID in .env")
    return tuple(found)


def rules_of(settings: CloudflareSettings, zones: tuple[Zone, ...]) -> Rules:
    """What labels may ask for."""
    table = settings.table
    return Rules(
        zones=tuple(same(zone.name) for zone in zones), targets=table.target, allowed=table.allowed_targets,
        proxied=table.proxied, ttl=table.ttl, wildcard=table.wildcard, apex=table.apex, deep=table.deep_names,
    )  # fmt: skip


def terms_of(settings: CloudflareSettings, owner: str) -> Terms:
    """By whom, and how far, zones are changed."""
    table = settings.table
    return Terms(Owner(owner), Policy(table.policy), timedelta(seconds=table.grace))
