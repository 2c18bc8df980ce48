"""What a check may look at: values only, gathered once by the command line.

Rules: frozen; no settings object, no secret but the checker's own credential. A check opens its own connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nasos.cloudflare.permissions import Excess, Held
from nasos.cloudflare.zone.plan import ZonePlan
from nasos.rotation.inventory import Row
from nasos.settings import (
    BotSettings,
    CloudflareSettings,
    GatewaySettings,
    RotationSettings,
    TlsSettings,
    VaultConnection,
)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the stack listens."""

    https: int
    vault: int
    postgres: int
    bot: int
    exchange: int
    gateway: int


@dataclass(frozen=True, slots=True)
class Process:
    """A running program of the stack."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """What the program that rotates logs last said."""

    age_seconds: float
    """Since its newest round."""
    troubles: tuple[str, ...]
    """What it could not do then."""
    confined: bool
    clock_jump: float = 0.0
    """By how many seconds the clock jumped within the last day; 0 where it did not."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """What the program that tells people last said."""

    age_seconds: float
    """Since its newest round."""
    channels: int
    """Where alerts go."""
    failing: Mapping[str, str]
    """Channel -> why it does not deliver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a Cloudflare in front."""

    required: bool = False
    """nginx answers nobody else."""
    fetched: datetime | None = None
    """When its addresses were last confirmed."""
    pulls_end: datetime | None = None
    """Until when its client certificate is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Questions to Cloudflare; each raises what keeps it from being answered."""

    tokens: Callable[[], Sequence[Held]]
    """What each token that there is can do of its task."""
    excess: Callable[[], Sequence[Excess]]
    """What each may beside it."""
    records: Callable[[], Sequence[str] | None]
    """What leads past Cloudflare; None where it is not in front, or no token may look."""
    zone: Callable[[], ZonePlan | None]
    """What the zone's settings and rules would have to become; None where they are not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One stack, as far as it exists."""

    now: datetime
    home: Path
    """The state directory; may not exist yet."""
    project: Path | None
    """The checkout, where there is one."""
    places: tuple[Path, ...]
    """Where .env and nasos.toml may stand: the checkout and the working directory."""
    ports: Ports | None
    """None when no stack was ever made here."""
    vault: VaultConnection | None
    """How the role ``checker`` reaches Vault; None when there is no stack and no ``VAULT_ADDR``."""
    key_file: Path | None
    """The unseal key, when the seal is ``static`` and a stack exists."""
    memory_key: Path | None = None
    """Where it stands in memory when it is in plain text on no disk."""
    listen: str
    """Address of the edge."""
    hosts: tuple[str, ...]
    """Names under which the edge is reached."""
    bot: BotSettings
    cloudflare: CloudflareSettings
    tls: TlsSettings = field(default_factory=TlsSettings)
    rotation: RotationSettings = field(default_factory=RotationSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    processes: tuple[Process, ...] = ()
    """The stack's own programs that run, with all their children."""
    owners: Mapping[str, int] = field(default_factory=dict)
    """Program -> uid that runs it, when each has its own (the stack was made by root)."""

    writes: tuple[Path, ...] = ()
    """Directories that the stack writes to: the two audit logs' first."""
    ballast_bytes: int = 0
    """Held back on each disk."""
    housekeeping: Housekeeping | None = None
    """None when it never finished a round."""
    binaries: Callable[[], Mapping[str, str]] | None = None
    """Looks at the embedded programs: name -> what is wrong, empty where nothing is; None: none are used."""
    watcher: Watcher | None = None
    """None when it never finished a round."""
    inventory: Callable[[], Sequence[Row]] | None = None
    """Takes the inventory of secrets; None where there is no stack."""
    origin: Origin | None = None
    """None where Cloudflare is not in front."""
    front: Front | None = None
    """None where no zone of Cloudflare's is named."""
    companion: Callable[[], str] | None = None
    """Says what it does, or raises `ProgramFailed`; None where there is none."""
    other_disks: tuple[Path, ...] = ()
    """Where file systems on other disks than the state directory's are mounted."""

    @property
    def ca_file(self) -> Path:
        """The development CA."""
        return self.home / "tls" / "ca.pem"

    @property
    def edge_ca_file(self) -> Path:
        """Who must have signed the edge's certificate."""
        from nasos.tls.trust import edge_trust

        return edge_trust(self.home / "tls", self.tls)
