"""``[cloudflare]``: which zones are ours to write to, and what labels may ask for; no secret belongs here."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Owner = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}\Z")]
Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9:][A-Za-z0-9:._-]{0,252}\Z")]

ZoneSetting = Literal[
    "ssl", "min_tls_version", "tls_1_3", "0rtt", "always_use_https", "automatic_https_rewrites", "security_header"
]


class CloudflareTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[cloudflare]``: records by container labels."""

    owner: Owner | None = None
    """What marks a record as ours; default the stack's id. Two installations need two."""
    zones: tuple[Host, ...] = ()
    """Zones beside that of ``CLOUDFLARE_ZONE_ID``."""
    target: tuple[Host, ...] = ()
    """Addresses, or one host, where names lead."""
    allowed_targets: tuple[Host, ...] = ()
    """Where a label may have its name lead, too."""
    proxied: bool = True
    """Whether traffic passes through Cloudflare where no label says so."""
    ttl: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 1
    """Seconds, 1: automatic; of what is not proxied."""
    wildcard: bool = False
    """A label may ask for ``*``."""
    apex: bool = False
    """A label may ask for the zone itself."""
    deep_names: bool = False
    """There is a certificate for proxied names of more than one label."""
    policy: Literal["sync", "upsert-only", "create-only"] = "sync"
    """How much may be done."""
    grace: Annotated[int, msgspec.Meta(ge=0, le=2592000)] = 300
    """Seconds until a record that no label asks for any more is removed."""
    containers: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)] | None = None
    """Where the companion looks: ``unix://`` and the Docker Engine's socket, or a compose file; None: there is none."""
    untouched: tuple[ZoneSetting, ...] = ()
    """Settings of the zone that are left as they are."""
    api: str = "https://api.cloudflare.com/client/v4"
    """Where Cloudflare's API is; plain http on loopback only."""

    def __post_init__(self) -> None:
        """A ttl is automatic, or a minute at least."""
        if 1 < self.ttl < 60:
            raise ValueError("ttl is 1 (automatic) or 60 to 86400")
