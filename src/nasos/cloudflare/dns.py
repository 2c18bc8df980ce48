"""Zones and their records, read; a batch of changes, sent.

Rules: a zone is found by its ID or by its whole name, never by a part of it; all records are read in one call (a page
holds 5,000), so that an idle look costs one. A batch is one transaction: removals, then updates, then new records; a
Free zone takes 200 operations in one, and no plan takes fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nasos.cloudflare.answers import Batched, Record, Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.names import same
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Change
from nasos.errors import CloudflareRefused, PermissionMissing

PAGE: Final = 5000
LARGEST_BATCH: Final = 200


def zone_by_id(client: Client, known: str) -> Zone:
    """The zone with this ID."""
    return client.read(f"/zones/{known}", Zone)


def zone_by_name(client: Client, name: str) -> Zone:
    """The zone with exactly this name.

    Raises:
        PermissionMissing: The token sees none.
    """
    found = [zone for zone in client.every("/zones", Zone, 50, name=same(name)) if same(zone.name) == same(name)]
    if not found:
        raise PermissionMissing(
            f"the Cloudflare API token sees no zone {name}", "give it this zone, or set CLOUDFLARE_ZONE_ID"
        )
    return found[0]


def require_active(zone: Zone) -> None:
    """A zone that Cloudflare answers for.

    Raises:
        CloudflareRefused: It was moved away, or is not there yet.
    """
    if zone.status in ("moved", "pending", "initializing"):
        raise CloudflareRefused(
            f"the zone {zone.name} is {zone.status}: Cloudflare does not answer for it",
            f"look at its name servers: dig NS {zone.name}",
        )


def records_of(client: Client, zone: Zone) -> tuple[Record, ...]:
    """All records of a zone, whosever they are."""
    return client.every(f"/zones/{zone.id}/dns_records", Record, PAGE)


def send_batch(client: Client, zone: Zone, changes: Iterable[Change], owner: Owner) -> Batched:
    """Carry all of it out, or nothing."""
    changes = tuple(changes)
    body = {
        "deletes": [{"id": record.id} for change in changes for record in change.deletes],
        "patches": [{"id": old.id, **_fields(new, owner)} for change in changes for old, new in change.updates],
        "posts": [_fields(new, owner) for change in changes for new in change.creates],
    }
    path = f"/zones/{zone.id}/dns_records/batch"
    return client.change("POST", path, Batched, {kind: part for kind, part in body.items() if part})


def _fields(wanted: Wanted, owner: Owner) -> dict[str, str | int | bool]:
    return {
        "type": wanted.type,
        "name": wanted.name,
        "content": wanted.content,
        "proxied": wanted.proxied,
        "ttl": wanted.ttl,
        "comment": owner.comment(wanted.source),
    }
