"""The two shapes of certificate that the development CA signs, extension by extension.

Rules: both pass ``VERIFY_X509_STRICT`` (the default since Python 3.13) and pyca's verifier: ``keyUsage`` critical,
subject key identifier, authority key identifier on the leaf, path length 0 and critical name constraints on the CA.
The tutorials' ``openssl req -x509`` leaves ``keyUsage`` out and fails there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nasos.tls.certificate import Key, Request, general_name

Permitted: TypeAlias = str | IPv4Network | IPv6Network
"""A name with all below it, or a network (RFC 5280 4.2.1.10)."""

CA_LIFETIME: Final = timedelta(days=3650)
"""Long: a development CA is trusted by hand, and each renewal asks for that again."""
LEAF_LIFETIME: Final = timedelta(days=90)
"""Mozilla's recommended lifespan."""
CLOCK_SKEW: Final = timedelta(hours=1)
"""Certificates begin this much in the past: a client's clock may be behind (Let's Encrypt does the same)."""


def certify(key: Key, permitted: Sequence[Permitted], now: datetime) -> x509.Certificate:
    """A self-signed CA certificate that can sign for ``permitted`` only."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The name carries the key's identifier: the CAs of two stacks in one trust store are told apart.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"nasos development CA {identifier.digest.hex()[:8]}")])
    subtrees = [x509.DNSName(entry) if isinstance(entry, str) else x509.IPAddress(entry) for entry in permitted]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(subtrees, None), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def sign(ca: x509.Certificate, key: Key, request: Request, now: datetime) -> x509.Certificate:
    """A server certificate for what ``request`` names; it never outlives its CA."""
    authority = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.subject)
        .public_key(request.public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(min(now + LEAF_LIFETIME, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.SubjectAlternativeName([general_name(host) for host in request.hosts]),
            critical=not list(request.subject),  # RFC 5280 4.2.1.6
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority), critical=False)
        .sign(key, hashes.SHA256())
    )


def constraints(certificate: x509.Certificate) -> tuple[Permitted, ...]:
    """What a CA certificate permits; nothing when it has no name constraints (such a CA is none of ours)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(entry.value for entry in extension.value.permitted_subtrees or ())


def key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    """What the key of a CA, or of a leaf, may be used for (RFC 5280 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
