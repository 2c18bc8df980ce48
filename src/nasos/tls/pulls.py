"""The client certificate that Cloudflare shows to nginx, and the CA that made it.

Rules: each certificate has a CA of its own, whose key signs once and is never written: nobody can make a second one.
The certificate's own key is handed to Cloudflare and kept nowhere. nginx trusts the CAs in one file, of which there are
two only while one certificate replaces another.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nasos.secret import Secret
from nasos.tls.certificate import Key, key_pem, new_key
from nasos.tls.signing import CLOCK_SKEW, key_usage

LIFETIME: Final = timedelta(days=365)
RENEW: Final = timedelta(days=90)
"""Left when it is to be replaced."""


@dataclass(frozen=True, slots=True)
class Pulling:
    """A fresh pair; the CA's key is gone already."""

    ca: bytes
    certificate: bytes
    key: Secret


def fresh(now: datetime) -> Pulling:
    """A CA for one certificate, and that one."""
    ca_key, key = new_key(), new_key()
    name = _name("nasos origin pull CA")
    ca = (
        _begun(name, name, ca_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = (
        _begun(_name("nasos origin pull"), name, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return Pulling(ca.public_bytes(Encoding.PEM), leaf.public_bytes(Encoding.PEM), Secret(key_pem(key).decode()))


def made_by(certificate: bytes, authorities: bytes) -> x509.Certificate | None:
    """The CA among these that signed it."""
    try:
        leaf, known = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificates(authorities)
    except ValueError:
        return None
    return next((ca for ca in known if _signed(leaf, ca)), None)


def _signed(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def pem(certificate: x509.Certificate) -> bytes:
    """As it stands in a file."""
    return certificate.public_bytes(Encoding.PEM)


def ends(certificate: bytes) -> datetime:
    """Until when it is valid."""
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(subject: x509.Name, issuer: x509.Name, key: Key, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
    )
