"""Keys, requests and the judgement of a certificate; rules only, no files.

Rules:

* A key never leaves the machine that made it: an ``Issuer`` gets a request (CSR) and gives back a chain.
* A certificate is renewed at two thirds of its lifetime, as certmagic and RFC 9773's fallback do; a fixed
  number of days breaks when lifetimes shrink.
* A certificate counts as good only when an independent verifier accepts it for every name that is wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from nasos.errors import TlsError
from nasos.tls.names import Host
from nasos.tls.names import hosts as parse_hosts

Key: TypeAlias = ec.EllipticCurvePrivateKey

RENEW_AT: Final = Fraction(2, 3)
"""Part of the lifetime after which a certificate is renewed."""


def new_key() -> Key:
    """A fresh P-256 key, the curve that Mozilla's profile asks of certificates."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: Key) -> bytes:
    """The key as unencrypted PKCS 8; its only place is a 0600 file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_key(pem: bytes) -> Key:
    """The P-256 key in ``pem``.

    Raises:
        TlsError: There is none; the text never says what stands there instead.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise TlsError("not a private key in PEM form") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TlsError("not a P-256 key")
    return key


def parse_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate in ``pem``.

    Raises:
        TlsError: There is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise TlsError("not a certificate in PEM form") from None


def general_name(host: Host) -> x509.DNSName | x509.IPAddress:
    """A host as it stands in a certificate."""
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def request(key: Key, service: str, hosts: Sequence[Host]) -> bytes:
    """A PEM request (CSR) for ``service`` under ``hosts``, signed by ``key``.

    Without a service it has no subject: a CA that people trust takes a common name for one more host (RFC 8555 7.4).
    """
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, f"nasos {service}")] * bool(service)
    subject = x509.Name(attributes)
    names = x509.SubjectAlternativeName([general_name(host) for host in hosts])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Request:
    """What an issuer takes from a request."""

    subject: x509.Name
    hosts: tuple[Host, ...]
    public_key: ec.EllipticCurvePublicKey


def parse_request(csr: bytes) -> Request:
    """The names and the key in a PEM request.

    Raises:
        TlsError: Malformed, not signed by its own key, without names, or not for a P-256 key.
        NameRefused: A name in it is neither host name nor address.
    """
    try:
        parsed = x509.load_pem_x509_csr(csr)
        genuine, key = parsed.is_signature_valid, parsed.public_key()
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise TlsError("the certificate request names no host") from None
    except (ValueError, UnsupportedAlgorithm):
        raise TlsError("not a certificate request in PEM form") from None
    if not genuine:
        raise TlsError("the certificate request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TlsError("the certificate request is not for a P-256 key")
    return Request(parsed.subject, parse_hosts(str(name.value) for name in names), key)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names and addresses on a certificate, as text, in order."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(str(name.value) for name in extension.value)


def renew_after(certificate: x509.Certificate) -> datetime:
    """The instant from which a certificate should be renewed."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * RENEW_AT.numerator / RENEW_AT.denominator


def belongs(certificate: x509.Certificate, key: Key) -> bool:
    """Whether the certificate is for this key."""
    return certificate.public_key() == key.public_key()


def verify(certificate: x509.Certificate, ca: x509.Certificate, hosts: Sequence[Host], now: datetime) -> None:
    """Check a certificate as a strict client would, once for each name.

    Raises:
        TlsError: Expired, signed by somebody else, outside the CA's constraints, malformed, or for other names.
    """
    builder = PolicyBuilder().store(Store([ca])).time(now)
    for host in hosts:
        try:
            builder.build_server_verifier(general_name(host)).verify(certificate, [])
        except (VerificationError, ValueError) as error:
            raise TlsError(f"the certificate does not hold for {host}: {error}") from None
