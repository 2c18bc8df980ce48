"""What is known here of the Cloudflare in front: its addresses, the zone, and how far the way there was gone.

Rules: no secret; a file that is damaged is one that is not there, and the way is gone anew from its beginning. What
nginx enforces follows from this file and from the mode in ``nasos.toml`` alone.
"""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from nasos.files import atomic_write, private_directory
from nasos.stack.home import Home
from nasos.tls import nginx
from nasos.tls.trust import edge_pairs

NAME: Final = "origin.json"
PULLS: Final = "pulls.pem"


class Stage(enum.StrEnum):
    """How far."""

    OPEN = "open"
    """nginx asks nobody for a client certificate."""
    ASKING = "asking"
    """It asks, and lets everybody in."""
    REQUIRED = "required"
    """Nobody gets in but Cloudflare with our certificate."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    zone: str = ""
    """Its ID."""
    api: str = ""
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    fetched: datetime | None = None
    """When Cloudflare's addresses were last confirmed."""
    stage: Stage = Stage.OPEN
    pulls_end: datetime | None = None
    """Until when the client certificate is valid."""


def place(home: Home) -> Path:
    """The directory."""
    return edge_pairs(home.tls, mode="cloudflare").root


def recall(home: Home) -> Memory:
    """What is known; nothing where there is nothing."""
    try:
        return msgspec.json.decode((place(home) / NAME).read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return Memory()


def remember(home: Home, memory: Memory) -> None:
    """Write it down."""
    private_directory(place(home), mode=edge_pairs(home.tls, home.users.uid("nginx"), "cloudflare").mode)
    atomic_write(place(home) / NAME, msgspec.json.encode(memory))


def front(home: Home) -> nginx.Cloudflare | None:
    """What nginx is told."""
    known, authorities = recall(home), place(home) / PULLS
    if not known.ipv4 or known.stage is Stage.OPEN or not authorities.exists():
        return None
    return nginx.Cloudflare((*known.ipv4, *known.ipv6), authorities, required=known.stage is Stage.REQUIRED)
