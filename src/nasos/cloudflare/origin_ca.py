"""Certificates by Cloudflare's Origin CA, with an API token (service keys ended on 2026-09-30).

Rules: a request whose answer was lost is looked for before it is called lost: the CA keeps the request beside the
certificate. Revoking what is gone already is no error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.errors import ChangeUnknown, CloudflareRefused, CloudflareUnreachable

DAYS: Final = 90
"""Of 7, 30, 90, 365, 730, 1095 and 5475: what a stolen key is worth ends by itself, and renewal is practised."""
NEED: Final = "Zone · SSL and Certificates · Edit"
GONE: Final = frozenset({1101, 1102})
"""No such certificate, or revoked before."""


class Certificate(msgspec.Struct, frozen=True):
    """One of the CA's."""

    id: str
    certificate: str = ""
    csr: str = ""


def issued(client: Client, zone: Zone, csr: str, hosts: Sequence[str]) -> Certificate:
    """A new one for this request.

    Raises:
        CloudflareUnreachable: The answer holds none.
        CloudflareRefused: The request is refused.
    """
    body = {"csr": csr, "hostnames": list(hosts), "request_type": "origin-ecc", "requested_validity": DAYS}
    try:
        made = client.change("POST", "/certificates", Certificate, body, need=NEED)
    except ChangeUnknown:
        found = [each for each in certificates_of(client, zone) if each.csr.strip() == csr.strip()]
        if not found:
            raise CloudflareUnreachable("the Origin CA's answer was lost, and it has no such certificate") from None
        made = found[0]
    if not made.certificate:
        raise CloudflareUnreachable("the Origin CA's answer holds no certificate")
    return made


def certificates_of(client: Client, zone: Zone) -> tuple[Certificate, ...]:
    """All that are not revoked, whosever they are."""
    return client.every("/certificates", Certificate, 50, zone_id=zone.id)


def revoke(client: Client, zone: Zone, pem: str) -> bool:
    """End this very certificate; whether it was there."""
    for each in certificates_of(client, zone):
        if each.certificate.strip() == pem.strip():
            try:
                client.change("DELETE", f"/certificates/{each.id}", object, need=NEED)
            except CloudflareRefused as error:
                if not GONE & set(error.codes):
                    raise
            return True
    return False
