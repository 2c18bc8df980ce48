"""The TLS profile, as data with its provenance: which protocols, ciphers and groups the edge speaks.

Rules: the numbers are Mozilla's, unchanged (``profiles/*.json`` names version and source); the group list alone is
fitted to the OpenSSL at hand, because a group that it does not know stops nginx from starting (measured: OpenSSL
3.3.7 and ``X25519MLKEM768``).
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import msgspec

Version = tuple[int, ...]

DEFAULT: Final = "mozilla-6.0-intermediate"

GROUP_SINCE: Final[dict[str, Version]] = {"X25519MLKEM768": (3, 5)}
"""First OpenSSL that knows a group; the others are in every OpenSSL that nginx 1.22 builds with (CHANGES, 3.5)."""


class Provenance(msgspec.Struct, frozen=True):
    """Where the numbers come from."""

    name: str
    version: str
    published: str
    source: str
    licence: str
    changes: str


class Ciphers(msgspec.Struct, frozen=True):
    """TLS 1.2 cipher suites by naming scheme."""

    openssl: tuple[str, ...]
    iana: tuple[str, ...]


class Configuration(msgspec.Struct, frozen=True):
    """One configuration of Mozilla's guideline; fields as published."""

    tls_versions: tuple[str, ...]
    ciphers: Ciphers
    ciphersuites: tuple[str, ...]
    tls_curves: tuple[str, ...]
    server_preferred_order: bool
    hsts_min_age: int
    maximum_certificate_lifespan: int
    recommended_certificate_lifespan: int


class Profile(msgspec.Struct, frozen=True):
    """A configuration and its provenance."""

    provenance: Provenance
    configuration: Configuration

    def groups(self, openssl: Version) -> tuple[str, ...]:
        """The key-exchange groups that this OpenSSL knows, in the profile's order."""
        unknown = {name for name, since in GROUP_SINCE.items() if openssl < since}
        return tuple(name for name in self.configuration.tls_curves if name not in unknown)


@cache
def load(name: str = DEFAULT) -> Profile:
    """The shipped profile called ``name``."""
    file = resources.files("nasos.tls") / "profiles" / f"{name}.json"
    return msgspec.json.decode(file.read_bytes(), type=Profile)
