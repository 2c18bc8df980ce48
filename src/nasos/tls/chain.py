"""What an issuer sent, judged before anything is replaced by it.

Rules: nothing is believed that can be looked at: the leaf is for this very key, for every name that was asked for, is
valid now, and leads over the intermediates that came with it to a root that we hold, as a strict client would judge.
A refusal names what is wrong, and never repeats what was sent.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from nasos.errors import TlsError
from nasos.tls.certificate import general_name, names_of
from nasos.tls.names import Host

LARGEST: Final = 1 << 18
"""Bytes; real chains have about 6 KiB."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Certificates as they are served: the leaf first, the root not among them."""

    leaf: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]

    @classmethod
    def parse(cls, pem: bytes) -> Chain:
        """Read one.

        Raises:
            TlsError: It is no chain in PEM form.
        """
        try:
            leaf, *intermediates = x509.load_pem_x509_certificates(pem[:LARGEST])
        except ValueError:
            raise TlsError("not a chain of certificates in PEM form") from None
        return cls(leaf, tuple(intermediates))

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The leaf's.

        Raises:
            TlsError: It is of a kind that we never ask for.
        """
        key = self.leaf.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TlsError("the certificate is not for an elliptic curve key")
        return key


def judge(
    chain: Chain,
    *,
    public_key: ec.EllipticCurvePublicKey,
    hosts: Sequence[Host],
    roots: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Accept a chain for this key and these names.

    Raises:
        TlsError: It must not be used; says why.
    """
    leaf = chain.leaf
    if leaf.public_key() != public_key:
        raise TlsError("the certificate is for another key")
    if missing := [str(host) for host in hosts if str(host) not in names_of(leaf)]:
        raise TlsError(f"the certificate is not for {', '.join(missing)}")
    for certificate in (leaf, *chain.intermediates):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin:
            raise TlsError(f"the certificate is not valid before {begin:%Y-%m-%d %H:%M} UTC", "timedatectl")
        if now >= end:
            raise TlsError(f"the certificate expired at {end:%Y-%m-%d %H:%M} UTC")
    verify(chain, hosts=hosts, roots=roots, now=now)


def verify(chain: Chain, *, hosts: Sequence[Host], roots: Sequence[x509.Certificate], now: datetime) -> None:
    """The judgement of a strict client, once for each name.

    Raises:
        TlsError: It would refuse.
    """
    builder = PolicyBuilder().store(Store(list(roots))).time(now)
    for host in hosts:
        try:
            builder.build_server_verifier(general_name(host)).verify(chain.leaf, list(chain.intermediates))
        except (VerificationError, ValueError) as error:
            raise TlsError(
                f"a strict client would not accept the certificate for {host}: {error}",
                "where the CA is a private one, roots_file under [tls.acme] names its root",
            ) from None


def read_roots(path: Path) -> tuple[x509.Certificate, ...]:
    """The roots in a PEM file.

    Raises:
        TlsError: It cannot be read, or holds none.
    """
    try:
        blocks = _BLOCK.findall(path.read_bytes())
    except OSError as error:
        raise TlsError(f"{path} cannot be read: {(error.strerror or '').lower()}", f"ls -l {path}") from None
    roots = tuple(root for block in blocks if (root := _root(block)) is not None)
    if not roots:
        raise TlsError(f"{path} holds no certificates in PEM form", f"file {path}")
    return roots


_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def _root(block: bytes) -> x509.Certificate | None:
    """One of a bundle; None for one that is outside RFC 5280: the public bundle has one with the serial number 0."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return x509.load_pem_x509_certificate(block)
    except ValueError:
        return None
