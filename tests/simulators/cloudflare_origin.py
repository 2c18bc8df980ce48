"""The simulated Cloudflare's Origin CA, and its client certificates for authenticated origin pulls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nasos.tls import signing
from nasos.tls.certificate import Key, new_key
from simulators.cloudflare_words import WHEN, Fields, Refusal, done, page

if TYPE_CHECKING:
    from simulators.cloudflare import Zone

USES = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
VALIDITIES = (7, 30, 90, 365, 730, 1095, 5475)


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "CloudFlare, Inc."),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, name),
        ]
    )


@dataclass
class OriginAuthority:
    """A root of the same shape as Cloudflare's own: keyUsage, path length 2, no extendedKeyUsage."""

    key: Key = field(default_factory=new_key)
    certificates: dict[str, Fields] = field(default_factory=dict)
    age: timedelta = timedelta()
    """How long ago the next certificates are made, for tests of what happens later."""
    ids: Iterator[int] = field(
        default_factory=lambda: itertools.count(328578533902268680212849205732770752308931942346)
    )

    def __post_init__(self) -> None:
        """Its certificate."""
        name, now = _named("CloudFlare Origin SSL ECC Certificate Authority"), datetime.now(UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        self.root = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=2), critical=True)
            .add_extension(signing.key_usage(sign_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip

    @property
    def pem(self) -> bytes:
        """The root."""
        return self.root.public_bytes(Encoding.PEM)

    def handle(self, method: str, rest: list[str], query: Mapping[str, str], content: Fields) -> Fields:
        """``/certificates``."""
        match (method, rest):
            case ("GET", []):
                return page(list(self.certificates.values()), query)
            case ("POST", []):
                return done(self._issued(content))
            case ("GET", [known]) if known in self.certificates:
                return done(self.certificates[known])
            case ("DELETE", [known]) if known in self.certificates:
                del self.certificates[known]
                return done({"id": known, "revoked_at": WHEN})
        raise Refusal(404, 1101, "Certificate not found.")

    def _issued(self, content: Fields) -> Fields:
        try:
            csr = x509.load_pem_x509_csr(content["csr"].encode())
        except ValueError:
            raise Refusal(400, 1000, "Failed to parse CSR") from None
        if content["request_type"] != "origin-ecc" or content["requested_validity"] not in VALIDITIES:
            raise Refusal(400, 1010, "Failed to validate requested validity or type")
        now, known = datetime.now(UTC) - self.age, str(next(self.ids))
        end = now + timedelta(days=content["requested_validity"])
        made = (
            x509.CertificateBuilder().subject_name(_named("CloudFlare Origin CA")).issuer_name(self.root.subject)
            .public_key(csr.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5)).not_valid_after(end)
            .add_extension(signing.key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(USES), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(csr.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in content["hostnames"]]), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )  # fmt: skip
        self.certificates[known] = {
            "id": known, "certificate": made.public_bytes(Encoding.PEM).decode(), "csr": content["csr"],
            "hostnames": content["hostnames"], "expires_on": f"{end:%Y-%m-%d %H:%M:%S +0000 UTC}",
            "request_type": content["request_type"], "requested_validity": content["requested_validity"],
        }  # fmt: skip
        return self.certificates[known]


def zone_pulls(zone: Zone, method: str, rest: list[str], content: Fields, ids: Iterator[int]) -> Fields:
    """``/zones/.../origin_tls_client_auth``."""
    match (method, rest):
        case ("GET", ["settings"]):
            return done({"enabled": zone.pulls_on})
        case ("PUT", ["settings"]):
            zone.pulls_on = bool(content["enabled"])
            return done({"enabled": zone.pulls_on})
        case ("GET", []):
            for each in zone.pulls.values():  # deployed by the time that somebody looks again
                each["looks"] += 1
                each["status"] = (
                    "active"
                    if each["looks"] >= zone.looks and each["status"].startswith("pending_dep")
                    else each["status"]
                )
            return done([_shown(each) for each in zone.pulls.values()])
        case ("POST", []):
            return done(_shown(_uploaded(zone, content, ids)))
        case ("DELETE", [known]) if known in zone.pulls:
            return done({**_shown(zone.pulls.pop(known)), "status": "pending_deletion"})
        case ("GET", [known]) if known in zone.pulls:
            return done(_shown(zone.pulls[known]))
    raise Refusal(404, 1551, "Certificate not found")


def _uploaded(zone: Zone, content: Fields, ids: Iterator[int]) -> Fields:
    try:
        certificate = x509.load_pem_x509_certificate(content["certificate"].encode())
    except ValueError:
        raise Refusal(400, 1412, "Invalid certificate") from None
    if content["certificate"] in {each["certificate"] for each in zone.pulls.values()}:
        raise Refusal(400, 1406, "This certificate has already been submitted.")
    known = f"{next(ids):032x}"
    zone.pulls[known] = {
        "id": known, "certificate": content["certificate"], "private_key": content["private_key"], "looks": 0,
        "issuer": certificate.issuer.rfc4514_string(), "signature": "ECDSAWithSHA256", "status": "pending_deployment",
        "expires_on": certificate.not_valid_after_utc.isoformat(), "uploaded_on": WHEN,
    }  # fmt: skip
    return zone.pulls[known]


def _shown(pull: Fields) -> Fields:
    return {key: value for key, value in pull.items() if key not in {"private_key", "looks"}}
