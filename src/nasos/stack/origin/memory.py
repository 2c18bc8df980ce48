"""What is known here of the Cloudflare in front: its addresses, the zone, and how far the way there was gone.

Rules: no secret. What nginx enforces follows from this file and from the mode in ``nasos.toml`` alone; so a file that
cannot be understood stops whoever asks, and is not taken for one that lets everybody in.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import TlsError
from nasos.files import atomic_write, fsync_directory, private_directory
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
    UNPROVEN = "unproven"
    """Nobody gets in but Cloudflare with our certificate, and whether that works is being seen."""
    REQUIRED = "required"
    """Seen to work: from here on it stays so."""


CLOSED: Final = frozenset({Stage.UNPROVEN, Stage.REQUIRED})
FIRST_PAUSE: Final = timedelta(minutes=5)
LONGEST_PAUSE: Final = timedelta(hours=6)
"""Between two tries of the rotator's, doubled by each failure."""


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
    failures: int = 0
    """Of the rotator, one after the other."""
    tried: datetime | None = None
    """When it failed last."""

    def held(self, now: datetime) -> bool:
        """Whether the rotator is to leave Cloudflare alone for a while; a clock that was ahead holds nobody up."""
        if not self.failures or self.tried is None or now < self.tried:
            return False
        return now - self.tried < min(FIRST_PAUSE * (1 << min(self.failures - 1, 16)), LONGEST_PAUSE)


def place(home: Home) -> Path:
    """The directory."""
    return edge_pairs(home.tls, mode="cloudflare").root


def recall(home: Home) -> Memory:
    """What is known; nothing where there is nothing.

    Raises:
        TlsError: It cannot be read.
    """
    path = place(home) / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except (OSError, msgspec.MsgspecError):
        raise _damaged(path) from None


def remember(home: Home, memory: Memory) -> None:
    """Write it down."""
    private_directory(place(home), mode=edge_pairs(home.tls, home.users.uid("nginx"), "cloudflare").mode)
    atomic_write(place(home) / NAME, msgspec.json.encode(memory))


def known(home: Home) -> bool:
    """Whether the way there was begun; also where what is known of it is damaged."""
    return (place(home) / NAME).exists()


def forget(home: Home) -> None:
    """The way back begins: nothing is renewed at Cloudflare any more, and the way there is proven anew.

    The CAs of our client certificates stay: Cloudflare still has one, and the next way there knows it by them.
    """
    (place(home) / NAME).unlink(missing_ok=True)
    fsync_directory(place(home))


def front(home: Home) -> nginx.Cloudflare | None:
    """What nginx is told.

    Raises:
        TlsError: What it is to enforce cannot be read.
    """
    known, authorities = recall(home), place(home) / PULLS
    if known.stage is Stage.OPEN:
        return None
    if not authorities.exists():
        raise _damaged(authorities)
    return nginx.Cloudflare((*known.ipv4, *known.ipv6), authorities, required=known.stage in CLOSED)


def _damaged(path: Path) -> TlsError:
    return TlsError(
        f"{path} is missing or damaged, and says whom nginx answers",
        f"rm -f {path.with_name(NAME)}, then ./nasos tls setup --mode cloudflare goes the way anew",
    )
