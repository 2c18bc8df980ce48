"""How each certificate of the stack stands, as a strict client would judge; nothing is changed, nothing private read.

Rules: what was asked for is judged. Where the edge's certificate is to come by ACME or Cloudflare that one is, by its
roots; the development one, which serves until there is one, is no answer then.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Literal

from cryptography import x509

from nasos.errors import TlsError
from nasos.settings import TlsSettings
from nasos.tls import attempts, names, renewal
from nasos.tls.certificate import names_of, parse_certificate, renew_after, verify
from nasos.tls.chain import Chain, judge, read_roots
from nasos.tls.dev_ca import read_ca
from nasos.tls.development import SERVICES, service_hosts
from nasos.tls.pairs import CHAIN
from nasos.tls.renewal import Life
from nasos.tls.trust import edge_pairs, public_roots


class State(enum.StrEnum):
    """How a certificate stands."""

    GOOD = "good"
    DUE = "due"
    """Good, and to be renewed: the stack does that by itself."""
    BAD = "bad"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Standing:
    """One certificate as ``nasos tls status`` shows it."""

    service: str
    state: State
    reason: str
    """Why it is not good; empty when it is."""
    hosts: tuple[str, ...]
    not_after: datetime | None
    issuer: Literal["dev", "acme", "cloudflare"] = "dev"
    renew: datetime | None = None
    """From when on it is renewed."""
    late: bool = False
    """Whether that should have happened long ago."""


def standings(directory: Path, tls: TlsSettings, *, now: datetime) -> list[Standing]:
    """How the certificate of each service stands."""
    return [
        _by_acme(directory, tls, now)
        if service.name == "edge" and tls.mode != "dev"
        else _development(directory, service.name, service_hosts(service.name, tls.hosts), now)
        for service in SERVICES
    ]


def _development(directory: Path, service: str, hosts: Sequence[str], now: datetime) -> Standing:
    try:
        certificate = parse_certificate((directory / f"{service}.pem").read_bytes())
        ca = read_ca(directory / "ca.pem")
    except FileNotFoundError:
        return Standing(service, State.MISSING, "no certificate", (), None)
    except (OSError, TlsError) as error:
        return Standing(service, State.BAD, f"cannot be read: {error}", (), None)
    found, end = names_of(certificate), certificate.not_valid_after_utc
    if ca is None:
        return Standing(service, State.BAD, "the CA's certificate is missing or damaged", found, end)
    if now >= end:
        return Standing(service, State.BAD, "expired", found, end)
    if now < max(certificate.not_valid_before_utc, ca.not_valid_before_utc):
        return Standing(service, State.BAD, _too_early(certificate, ca), found, end)
    try:
        verify(certificate, ca, names.hosts(hosts), now)
    except TlsError as error:
        return Standing(service, State.BAD, error.message, found, end)
    return _good(service, certificate, renew_after(certificate), now)


def _good(service: str, certificate: x509.Certificate, renew: datetime, now: datetime) -> Standing:
    life = Life.of(certificate)
    state, reason = (State.DUE, "due for renewal") if now >= renew else (State.GOOD, "")
    late = now >= renew + life.part(renewal.LATE)
    return Standing(service, state, reason, names_of(certificate), life.end, "dev", renew, late)


def _by_acme(directory: Path, tls: TlsSettings, now: datetime) -> Standing:
    pairs = edge_pairs(directory, mode=tls.mode)
    by: Literal["dev", "acme", "cloudflare"] = tls.mode
    name = "ACME" if by == "acme" else "Cloudflare"
    live, tried = pairs.target("live"), attempts.read(pairs.root)
    why = f": {tried.error}" if tried.failures and tried.error else ""
    if live is None:
        return Standing("edge", State.MISSING, f"no certificate by {name} yet{why}", (), None, by)
    try:
        chain = Chain.parse((live / CHAIN).read_bytes())
    except (OSError, TlsError) as error:
        return Standing("edge", State.BAD, f"cannot be read: {error}", (), None, by)
    life, found = Life.of(chain.leaf), names_of(chain.leaf)
    try:
        # Which key it is for is the server's to say, and the check's: keys are not read here.
        hosts, roots = names.hosts(tls.hosts), read_roots(public_roots(tls))
        judge(chain, public_key=chain.public_key, hosts=hosts, roots=roots, now=now)
    except TlsError as error:
        return Standing("edge", State.BAD, error.message, found, life.end, by)
    good = _good("edge", chain.leaf, renewal.due(life, tried.of(life.seed).advice), now)
    return replace(good, issuer=by, reason=good.reason + why * bool(good.reason))


def _too_early(certificate: x509.Certificate, ca: x509.Certificate) -> str:
    which, first = max(
        ("", certificate.not_valid_before_utc), ("the CA is ", ca.not_valid_before_utc), key=itemgetter(1)
    )
    return (
        f"{which}not valid before {first:%Y-%m-%d %H:%M} UTC: "
        "the clock was ahead when it was made, or is behind now; look at it first"
    )
