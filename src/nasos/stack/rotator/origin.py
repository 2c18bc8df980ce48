"""The rotator's look at what Cloudflare has of us: certificate, addresses, client certificate.

Rules: looking asks nobody. The token is Vault's ``cloudflare/zone``; without one nothing is done, and that is said.
What the zone's rules are, and who is let in, is a person's to say: here nothing is switched.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from nasos.cloudflare.tokens import FIELD, ZONE, token_in
from nasos.errors import SecretNotFound, TlsError
from nasos.secret import Secret
from nasos.stack.edge_certificate import EdgeCertificate
from nasos.stack.edge_front import EdgeFront
from nasos.stack.embedded import Stack
from nasos.stack.origin.memory import recall
from nasos.tls.issuer import Issuer


def work_to_do(stack: Stack) -> bool:
    """Whether something is due; before a person began the way nothing is."""
    known = recall(stack.home)
    if not known.zone:
        return False
    from nasos.stack.origin.switch import stale

    return stale(known, datetime.now(UTC)) or _edge(stack, _Nobody(), "rotator").work_to_do()


def renewed(stack: Stack, actor: str, say: Callable[[str], None]) -> None:
    """Renew what is due.

    Raises:
        TlsError: There is no token, or the certificate cannot be renewed.
        CloudflareError: The other two cannot.
    """
    known = recall(stack.home)
    if not known.zone:
        return
    from nasos.cloudflare.client import Client
    from nasos.cloudflare.dns import zone_by_id
    from nasos.stack.origin.issuer import OriginCa
    from nasos.stack.origin.switch import Switch, stale

    with Client(_token(stack, actor), known.api) as client:
        zone = zone_by_id(client, known.zone)
        issuer, front = OriginCa(client, zone), EdgeFront(stack.home, stack.settings)
        if _edge(stack, issuer, actor, issuer.retire).look(patient=True).issued:
            say("edge issued by Cloudflare")
        if stale(known, datetime.now(UTC)):
            way = Switch(
                home=stack.home, settings=stack.settings, client=client, zone=zone, front=front, reach=_nowhere, say=say
            )
            way.addresses()
            way.client_certificate()


def _token(stack: Stack, actor: str) -> Secret:
    try:
        with stack.vault(actor) as vault:
            return token_in(vault.read(ZONE).fields, ZONE)
    except SecretNotFound:
        raise TlsError(
            "there is no Cloudflare token for renewals in Vault", f"nasos secret set {ZONE} --field {FIELD}"
        ) from None


def _edge(
    stack: Stack, issuer: Issuer, actor: str, retire: Callable[[bytes], None] | None = None
) -> EdgeCertificate:  # fmt: skip
    front = EdgeFront(stack.home, stack.settings)
    return EdgeCertificate(
        stack.home, stack.settings, lambda _key, _old: issuer, front, partial(datetime.now, UTC), actor, retire
    )


def _nowhere(_host: str, _path: str) -> None:
    """Nothing is proven here."""


class _Nobody:
    """Looking asks nobody."""

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """Never."""
        raise TlsError(f"nobody was to be asked at {now} for {len(csr)} bytes")

    def advice(self, chain: bytes, *, now: datetime) -> None:
        """None."""
