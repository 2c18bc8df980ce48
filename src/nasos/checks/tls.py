"""Certificates: the second subject of the user's document, on disk and as the edge shows them.

Rules: what a strict client would say counts, not what a file is called; who may read the keys is judged once, under
``secrets.files-private``.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from msgspec import structs

from nasos.checks.edge import connected, context, edge_address, get
from nasos.checks.rule import Failed, Passed, Rule, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity

if TYPE_CHECKING:
    from nasos.tls.standing import Standing

SERVICES: Final = ("vault", "postgres", "bot", "edge", "gateway", "nginx")
"""Who has a certificate."""

HEADERS: Final = {
    "strict-transport-security": "max-age=",
    "content-security-policy": "default-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
}
"""Header -> what its value must hold."""


@rule(
    "tls.ca-present",
    title="The CA certificate is there and valid",
    severity=Severity.HIGH,
    why="without it no client of the stack can tell our servers from somebody else's",
    fix="./scripts/setup_ssl.sh",
)
def ca_present(target: Target) -> Verdict:
    """Read it as the clients do."""
    from nasos.tls.dev_ca import read_ca

    if target.ports is None and not target.ca_file.parent.is_dir():
        return Skipped("there is no stack here")
    ca = read_ca(target.ca_file)
    if ca is None:
        return Failed(f"{target.ca_file} is missing or no certificate")
    if not ca.not_valid_before_utc <= target.now < ca.not_valid_after_utc:
        begin, end = ca.not_valid_before_utc, ca.not_valid_after_utc
        return Failed(
            f"valid from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC only; it is {target.now:%H:%M} now"
        )
    return Passed(f"valid until {ca.not_valid_after_utc:%Y-%m-%d}")


def _leaf_rule(service: str) -> Rule:
    @rule(
        f"tls.{service}-certificate",
        title=f"The certificate of {service} is valid, for its names and its key",
        severity=Severity.HIGH,
        why="clients refuse the service, or were told to accept anything, which is worse",
        fix="./scripts/setup_ssl.sh",
        needs=("tls.ca-present",),
    )
    def judged(target: Target) -> Verdict:
        return _leaf(target, service)

    return judged


def _leaf(target: Target, service: str) -> Verdict:
    from nasos.tls.certificate import belongs, parse_certificate, parse_key
    from nasos.tls.standing import State
    from nasos.tls.trust import edge_files

    standing = next(each for each in _standings(target) if each.service == service)
    if standing.state in (State.BAD, State.MISSING):
        return Failed(standing.reason, "./nasos tls renew" if standing.issuer != "dev" else "")
    directory = target.ca_file.parent
    shown, path = directory / f"{service}.pem", directory / f"{service}.key"
    if service == "edge":
        shown, path = edge_files(directory, target.tls)
    certificate = parse_certificate(shown.read_bytes())
    # Not read_private: who may read the key is another rule's business.
    if not path.exists() or not belongs(certificate, parse_key(path.read_bytes())):
        return Failed("the key is missing or belongs to another certificate")
    return Passed(f"for {', '.join(standing.hosts)} until {standing.not_after:%Y-%m-%d}")


def _standings(target: Target) -> list[Standing]:
    from nasos.tls.standing import standings

    return standings(target.ca_file.parent, structs.replace(target.tls, hosts=target.hosts), now=target.now)


@rule(
    "tls.renewal",
    title="Certificates are renewed in time",
    severity=Severity.MEDIUM,
    why="one that nobody renews any more is an outage with a date",
    fix="./nasos tls renew",
    needs=("tls.ca-present",),
)
def renewal(target: Target) -> Verdict:
    """A twenty-fourth of the lifetime after it was due, something is wrong."""
    late = [each for each in _standings(target) if each.late]
    if late:
        return Failed("; ".join(f"{each.service}: {each.reason} since {each.renew:%Y-%m-%d}" for each in late))
    coming = min((each.renew for each in _standings(target) if each.renew), default=None)
    return Passed(f"the next one on {coming:%Y-%m-%d}") if coming else Passed("none is late")


@rule(
    "tls.edge-handshake",
    title="HTTPS is verified under every configured name, and by our CA only",
    severity=Severity.HIGH,
    why="a browser that has to be told to go on regardless will go on regardless with an attacker too",
    fix="./nasos up",
    needs=("tls.edge-certificate", "vault.reachable"),
)
def edge_handshake(target: Target) -> Verdict:
    """Shake hands under each name; a client without our CA must refuse."""
    address, version = edge_address(target), ""
    for host in target.hosts:
        try:
            with connected(address, host, context(target.edge_ca_file)) as tls:
                version = tls.version() or ""
        except ssl.SSLCertVerificationError as error:
            return Failed(f"{host}: {error.verify_message.lower().rstrip('.')}", "./scripts/setup_ssl.sh")
        except OSError as error:
            return Failed(f"{host}: {(error.strerror or 'no answer').lower()}")
    try:
        with connected(address, target.hosts[0], context(None)):
            return Failed("a client that trusts nobody was satisfied")
    except ssl.SSLCertVerificationError:
        return Passed(f"{version} for {', '.join(target.hosts)}; refused without our CA")


@rule(
    "tls.edge-headers",
    title="Every answer carries the security headers",
    severity=Severity.MEDIUM,
    why="they keep a browser on HTTPS, and other sites and injected scripts out of the bot's page",
    fix="./nasos restart nginx",
    needs=("tls.edge-handshake",),
)
def edge_headers(target: Target) -> Verdict:
    """On a page and on an error."""
    for path in ("/", "/api/v1/no-such-thing"):
        headers = get(target, path).headers
        wrong = [name for name, value in HEADERS.items() if value.lower() not in headers.get(name, "").lower()]
        if wrong:
            return Failed(f"{path}: {', '.join(wrong)} missing or weaker than ours")
    return Passed(f"{len(HEADERS)} headers on a page and on an error")


RULES: Final = (ca_present, *(_leaf_rule(service) for service in SERVICES), renewal, edge_handshake, edge_headers)
