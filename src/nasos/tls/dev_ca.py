"""The development CA: signs the stack's own names, and cannot sign anything else.

Rules:

* Its certificate permits localhost, loopback and the configured hosts only, so that trusting it in a browser opens
  no other site to whoever steals its key.
* The key outlives the certificate: when a host is added or the certificate ages, the same key gets a new certificate
  and every leaf signed before stays good. Only a missing key makes a new CA.
* From a request it takes names and public key; every extension is its own.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nasos.errors import FileRefused, TlsError
from nasos.files import atomic_write, locked_directory, read_private, refused
from nasos.tls import names, signing
from nasos.tls.certificate import (
    Key,
    belongs,
    key_pem,
    new_key,
    parse_certificate,
    parse_key,
    parse_request,
    renew_after,
)
from nasos.tls.issuer import Advice
from nasos.tls.leaf import Leaf, ensure_leaf
from nasos.tls.signing import Permitted

__all__ = ["DevCa", "Leaf", "ensure_leaf", "read_ca"]

_ALWAYS: Final[tuple[Permitted, ...]] = (
    "localhost",
    ipaddress.IPv4Network("127.0.0.0/8"),
    ipaddress.IPv6Network("::1/128"),
)


@dataclass(frozen=True, slots=True)
class DevCa:
    """An opened development CA; an ``Issuer``."""

    path: Path
    """``ca.pem``: what clients trust."""
    certificate: x509.Certificate
    key: Key = field(repr=False)

    @classmethod
    def open(cls, directory: Path, *, now: datetime, hosts: Sequence[str] = ()) -> Self:
        """Load the CA of ``directory``, made or brought up to date where needed.

        ``hosts`` are the names that it must be able to sign, besides localhost and loopback.

        Raises:
            TlsError: ``ca.key`` is not a key.
            FileRefused: ``ca.key`` can be read by others, or the directory cannot be written.
            NameRefused: One of ``hosts`` is neither name nor address.
        """
        wanted = _permitted(hosts)
        path = directory / "ca.pem"
        with locked_directory(directory):
            key = _key(directory / "ca.key")
            certificate = read_ca(path)
            if certificate is None or not _serves(certificate, key, wanted, now):
                certificate = signing.certify(key, wanted, now)
                _write(path, certificate.public_bytes(Encoding.PEM))
        return cls(path, certificate, key)

    def issue(self, csr: bytes, *, now: datetime) -> bytes:
        """Sign a request: a server certificate of 90 days, as a chain in PEM (the root is not part of it).

        Raises:
            TlsError: The request is malformed, not signed by its own key, or for names that the CA may not sign.
            NameRefused: A name in it is neither host name nor address.
        """
        request = parse_request(csr)
        permitted = signing.constraints(self.certificate)
        for host in request.hosts:
            if not names.covers(permitted, host):
                raise TlsError(f"the development CA may not sign {host}", "add it to hosts under [tls] in nasos.toml")
        return signing.sign(self.certificate, self.key, request, now).public_bytes(Encoding.PEM)

    def advice(self, chain: bytes, *, now: datetime) -> Advice | None:
        """None: this CA is always there, and has no load to spread."""
        return None


def _write(path: Path, content: bytes) -> None:
    """The certificate, where it stands already in the same file.

    A confined bot may open this very file, by its inode (Landlock), and no other that takes its name: it would open no
    new connection to its database. Cut off half-way there is no certificate, and the next call makes one from the key.
    """
    if not path.is_file() or path.is_symlink():
        atomic_write(path, content, 0o644)
        return
    try:
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise refused(path, error) from None


def read_ca(path: Path) -> x509.Certificate | None:
    """The CA certificate at ``path``; None when there is none that can be understood.

    Raises:
        FileRefused: It is there and may not be read.
    """
    try:
        return parse_certificate(path.read_bytes())
    except (FileNotFoundError, TlsError):
        return None
    except OSError as error:
        raise FileRefused(f"cannot read {path}: {(error.strerror or '').lower()}", f'"ls -l {path}" shows it') from None


def _permitted(hosts: Sequence[str]) -> tuple[Permitted, ...]:
    given = (names.host(text) for text in hosts)
    more = (host if isinstance(host, str) else ipaddress.ip_network(host) for host in given)
    return (*_ALWAYS, *(entry for entry in dict.fromkeys(more) if not _within(_ALWAYS, entry)))


def _within(permitted: Sequence[Permitted], entry: Permitted) -> bool:
    """Whether ``permitted`` holds all of ``entry``; ours are single hosts, or the standing networks themselves."""
    return entry in permitted or names.covers(permitted, entry if isinstance(entry, str) else entry.network_address)


def _key(path: Path) -> Key:
    if not path.exists():
        key = new_key()
        atomic_write(path, key_pem(key))
        return key
    try:
        return parse_key(read_private(path))
    except TlsError as error:
        raise TlsError(f"{path} is damaged: {error}", f'"rm {path}", then "./nasos tls setup" makes a new CA') from None


def _serves(certificate: x509.Certificate, key: Key, wanted: Sequence[Permitted], now: datetime) -> bool:
    """Whether the certificate is this key's, permits all that is wanted, and is not due for renewal."""
    if not belongs(certificate, key) or not certificate.not_valid_before_utc <= now < renew_after(certificate):
        return False
    permitted = signing.constraints(certificate)
    return all(_within(permitted, entry) for entry in wanted)
