"""Authenticated origin pulls of a zone: the client certificate that Cloudflare shows to the origin.

Rules: it is the zone's own, never the one that all of Cloudflare's customers share. Certificates cannot be changed,
only replaced: upload, wait until it is deployed, remove the one before; Cloudflare wants one active certificate. An
upload whose answer was lost is looked for by the certificate itself.
"""

from __future__ import annotations

from typing import Final

import msgspec

from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.errors import ChangeUnknown, CloudflareRefused, CloudflareUnreachable
from nasos.secret import Secret

NEED: Final = "Zone · SSL and Certificates · Edit"
LEAVING: Final = frozenset({"pending_deletion", "deleted", "deletion_timed_out"})


class Pull(msgspec.Struct, frozen=True):
    """One client certificate."""

    id: str
    certificate: str = ""
    status: str = ""
    """``active`` when all of Cloudflare shows it."""


class Switch(msgspec.Struct, frozen=True):
    """Whether it shows one at all."""

    enabled: bool = False


def all_of(client: Client, zone: Zone) -> tuple[Pull, ...]:
    """Those that are shown, and those that are about to go."""
    return client.read(_at(zone), tuple[Pull, ...])


def pulls_of(client: Client, zone: Zone) -> tuple[Pull, ...]:
    """Those that are not about to go."""
    return tuple(each for each in all_of(client, zone) if each.status not in LEAVING)


def upload(client: Client, zone: Zone, certificate: str, key: Secret) -> Pull:
    """Hand one over; its key is nowhere else.

    Raises:
        CloudflareUnreachable: The answer was lost, and it is not there.
    """
    body = {"certificate": certificate, "private_key": key.reveal()}
    try:
        return client.change("POST", _at(zone), Pull, body, need=NEED)
    except ChangeUnknown:
        found = [each for each in pulls_of(client, zone) if each.certificate.strip() == certificate.strip()]
        if not found:
            raise CloudflareUnreachable("the upload's answer was lost, and it is not there") from None
        return found[0]


def remove(client: Client, zone: Zone, pull: Pull) -> None:
    """Take one away; it may be gone already."""
    try:
        client.change("DELETE", f"{_at(zone)}/{pull.id}", object, need=NEED)
    except (ChangeUnknown, CloudflareRefused):
        if pull.id in {each.id for each in pulls_of(client, zone)}:
            raise


def enabled(client: Client, zone: Zone) -> bool:
    """Whether Cloudflare shows a certificate to the zone's origins."""
    return client.read(f"{_at(zone)}/settings", Switch).enabled


def enable(client: Client, zone: Zone) -> None:
    """Have it do so; said twice is said once."""
    client.change("PUT", f"{_at(zone)}/settings", Switch, {"enabled": True}, need=NEED)


def _at(zone: Zone) -> str:
    return f"/zones/{zone.id}/origin_tls_client_auth"
