"""Cloudflare's Origin CA as an `Issuer`: a request of ours, signed for the names in it.

Rules: the key stays here; the answer is judged by whoever installs it; the one before is revoked by whoever has seen
the new one served, and never earlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nasos.cloudflare import origin_ca
from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.errors import (
    CloudflareBusy,
    CloudflareError,
    CloudflareUnreachable,
    IssuerBusy,
    IssuerRefused,
    IssuerUnreachable,
    TlsError,
)
from nasos.tls.certificate import parse_request
from nasos.tls.issuer import Advice


@dataclass(frozen=True, slots=True)
class OriginCa:
    """Signs for the names of one zone."""

    client: Client
    zone: Zone

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """Sign a request: 90 days, no intermediates.

        Raises:
            TlsError: It is no request of ours, or Cloudflare does not sign it.
        """
        hosts = [str(host) for host in parse_request(csr).hosts]
        try:
            made = origin_ca.issued(self.client, self.zone, csr.decode(), hosts)
        except CloudflareError as error:
            raise _as_issuer(error) from None
        return made.certificate.strip().encode() + b"\n"

    def advice(self, chain: bytes, *, now: datetime) -> Advice | None:
        """None: it has no opinion."""
        return None

    def retire(self, chain: bytes) -> None:
        """Revoke what is served no more.

        Raises:
            CloudflareError: It could not be done.
        """
        origin_ca.revoke(self.client, self.zone, chain.decode())


def _as_issuer(error: CloudflareError) -> TlsError:
    match error:
        case CloudflareBusy():
            return IssuerBusy(error.message, error.hint)
        case CloudflareUnreachable():
            return IssuerUnreachable(error.message, error.hint)
        case _:
            return IssuerRefused(error.message, error.hint)
