"""The rotator's look at what Cloudflare has of us: certificate, addresses, client certificate.

Rules: looking asks nobody. The token is Vault's ``cloudflare/zone``; without one nothing is done, and that is said.
What the zone's rules are, and who is let in, is a person's to say: here nothing is switched. What cannot be done keeps
the other two from nothing; it is an event, and tried again after a pause that doubles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from nasos.cloudflare.tokens import FIELD, ZONE, token_in
from nasos.errors import AlreadyRunning, Error, SecretNotFound, TlsError
from nasos.ledger import Ledger, Outcome
from nasos.secret import Secret
from nasos.stack.edge_certificate import EdgeCertificate
from nasos.stack.edge_front import EdgeFront
from nasos.stack.embedded import Stack
from nasos.stack.origin.memory import Memory, recall, remember
from nasos.tls.issuer import Issuer

if TYPE_CHECKING:
    from nasos.cloudflare.client import Client

Say = Callable[[str], None]


def work_to_do(stack: Stack) -> bool:
    """Whether something is due; before a person began the way nothing is."""
    known, now = recall(stack.home), datetime.now(UTC)
    if not known.zone or known.held(now):
        return False
    from nasos.stack.origin.switch import stale

    return stale(known, now) or _edge(stack, _Nobody(), "rotator").work_to_do()


def renewed(stack: Stack, actor: str, say: Say) -> None:
    """Renew what is due; what cannot be is recorded, and waits."""
    known = recall(stack.home)
    if not known.zone or known.held(datetime.now(UTC)):
        return
    changed, flaws = _worked(stack, known, actor, say)
    ledger = Ledger(stack.home.ledger, actor)
    if flaws:
        detail = {"why": "; ".join(flaws), "tries": str(known.failures + 1)}
        ledger.append("cloudflare.origin", known.zone, Outcome.FAILED, detail)
        _keep(stack, failures=known.failures + 1, tried=datetime.now(UTC))
    elif known.failures:
        _keep(stack, failures=0, tried=None)
    if changed or (known.failures and not flaws):
        ledger.append("cloudflare.origin", known.zone, detail={"renewed": ", ".join(changed) or "well again"})


def _worked(stack: Stack, known: Memory, actor: str, say: Say) -> tuple[list[str], list[str]]:
    """What is another one now, and what went wrong."""
    from nasos.cloudflare.client import Client

    changed, flaws = [], []
    try:
        with Client(_token(stack, actor), known.api) as client:
            for name, work in _duties(stack, known, client, actor, say):
                try:
                    if not recall(stack.home).zone:  # a person went the way back meanwhile
                        break
                    if work():
                        changed.append(name)
                except AlreadyRunning:
                    raise
                except Error as error:
                    say(f"{name}: {error.message}")
                    flaws.append(f"{name}: {error.message}")
    except AlreadyRunning as busy:  # a person is at it: what is left then is due still
        say(busy.message)
    except Error as error:
        say(error.message)
        flaws.append(error.message)
    return changed, flaws


def _duties(
    stack: Stack, known: Memory, client: Client, actor: str, say: Say
) -> Iterator[tuple[str, Callable[[], bool]]]:
    from nasos.cloudflare.dns import require_active, zone_by_id
    from nasos.stack.origin.issuer import OriginCa
    from nasos.stack.origin.switch import Switch, stale

    zone = zone_by_id(client, known.zone)
    require_active(zone)
    issuer, front = OriginCa(client, zone), EdgeFront(stack.home, stack.settings)
    edge = _edge(stack, issuer, actor, issuer.retire)
    yield "certificate", lambda: edge.look(patient=True).issued
    if stale(known, datetime.now(UTC)):
        way = Switch(
            home=stack.home, settings=stack.settings, client=client, zone=zone, front=front, reach=_nowhere,
            knock=front.knock, say=say,
        )  # fmt: skip
        yield "addresses", way.addresses
        yield "client certificate", way.client_certificate


def _keep(stack: Stack, **changed: object) -> None:
    now = recall(stack.home)
    if now.zone:  # else a person has gone the way back meanwhile
        remember(stack.home, structs.replace(now, **changed))


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


def _nowhere(_host: str, _path: str) -> int | None:
    """Nothing is proven here."""


class _Nobody:
    """Looking asks nobody."""

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """Never."""
        raise TlsError(f"nobody was to be asked at {now} for {len(csr)} bytes")

    def advice(self, chain: bytes, *, now: datetime) -> None:
        """None."""
