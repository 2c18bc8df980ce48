"""One service's certificate and key on disk: two files that must belong together at every instant.

Rules:

* The key is made here, is written first, and stays as long as it is sound: a renewal replaces the certificate alone,
  in one rename, so that no crash can leave a pair that does not match. A key that is missing, damaged, readable by
  others or unwanted (``force``) is replaced; killed between the two writes, the next call sees the mismatch
  and issues a certificate for the key that is there.
* Nothing is installed before a strict verifier has accepted it for every name.
* A certificate is replaced when it is missing, damaged, past two thirds of its life, for other names, for another
  key, or signed by another CA; else it is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509

from nasos.errors import FileRefused, TlsError
from nasos.files import atomic_write, locked_directory, read_private
from nasos.tls import names
from nasos.tls.certificate import (
    Key,
    belongs,
    key_pem,
    names_of,
    new_key,
    parse_certificate,
    parse_key,
    renew_after,
    request,
    verify,
)
from nasos.tls.issuer import Issuer


class RootedIssuer(Issuer, Protocol):
    """An issuer whose root is known here, so that its work can be checked."""

    @property
    def certificate(self) -> x509.Certificate:
        """The root that clients trust."""
        ...


@dataclass(frozen=True, slots=True)
class Leaf:
    """A service's certificate as it stands on disk."""

    service: str
    cert: Path
    key: Path
    hosts: tuple[str, ...]
    """Names and addresses on the certificate."""
    not_after: datetime
    issued: bool
    """Whether this call made it; a running service must then pick it up."""
    reason: str
    """Why it was issued; empty when it was left alone."""


def ensure_leaf(  # noqa: PLR0913  a pair of files is described by place, name, hosts and owner
    ca: RootedIssuer,
    directory: Path,
    service: str,
    hosts: Sequence[str],
    *,
    now: datetime,
    owner: int | None = None,
    force: bool = False,
) -> Leaf:
    """Make sure that ``<service>.pem`` and ``<service>.key`` in ``directory`` are good; issue them where not.

    ``owner`` is the uid that the service runs as; without it, root keeps the present owner. ``force`` makes a
    new key and certificate in any case.

    Raises:
        TlsError: The CA may not sign one of ``hosts``.
        FileRefused: The directory cannot be written.
        NameRefused: One of ``hosts`` is neither name nor address, or there is none.
    """
    wanted = names.hosts(hosts)
    cert_path, key_path = directory / f"{service}.pem", directory / f"{service}.key"
    with locked_directory(directory):
        owner = _present_owner(key_path) if owner is None else owner
        key, flaw = _sound_key(key_path, owner)
        if key is None or force:
            key, flaw = new_key(), flaw or "asked for"
            atomic_write(key_path, key_pem(key), owner=owner)
        certificate = _read(cert_path)
        reason = flaw or why_renew(certificate, key, ca.certificate, wanted, now)
        if reason or certificate is None:
            chain = ca.issue(request(key, service, wanted), now=now)
            certificate = parse_certificate(chain)
            verify(certificate, ca.certificate, wanted, now)
            atomic_write(cert_path, chain, 0o644, owner=owner)
    return Leaf(
        service=service,
        cert=cert_path,
        key=key_path,
        hosts=names_of(certificate),
        not_after=certificate.not_valid_after_utc,
        issued=bool(reason),
        reason=reason,
    )


def why_renew(
    certificate: x509.Certificate | None,
    key: Key,
    ca: x509.Certificate,
    hosts: Sequence[names.Host],
    now: datetime,
) -> str:
    """Why a certificate must be replaced; empty when it is good and not yet due."""
    if certificate is None:
        return "no certificate"
    if not belongs(certificate, key):
        return "certificate and key do not belong together"
    if set(names_of(certificate)) != {str(host) for host in hosts}:
        return "other host names are wanted"
    if now >= certificate.not_valid_after_utc:
        return "expired"
    if now < certificate.not_valid_before_utc:
        return "not valid yet: the clock was ahead when it was made, or is behind now"
    if now >= renew_after(certificate):
        return "two thirds of its lifetime are over"
    try:
        verify(certificate, ca, hosts, now)
    except TlsError:
        return "not accepted by a strict client of this CA"
    return ""


def _present_owner(key_path: Path) -> int | None:
    """The uid that already owns the key, where we may keep it (root); None otherwise."""
    if os.geteuid() != 0 or not key_path.exists():
        return None
    return key_path.stat().st_uid or None


def _sound_key(path: Path, owner: int | None) -> tuple[Key | None, str]:
    """The key at ``path``, or why it cannot be used."""
    if not path.exists():
        return None, "no key"
    try:
        key = parse_key(read_private(path, owner=owner))
        if owner is not None and path.stat().st_uid != owner:
            os.chown(path, owner, -1)
    except TlsError as error:
        return None, f"the key is damaged: {error}"
    except FileRefused:
        return None, "the key could be read or replaced by others"
    return key, ""


def _read(path: Path) -> x509.Certificate | None:
    """The certificate at ``path``, if it can be read and understood."""
    try:
        return parse_certificate(path.read_bytes())
    except (OSError, TlsError):
        return None
