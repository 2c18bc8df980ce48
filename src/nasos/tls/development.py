"""The development certificates of the one-machine stack: who has one, for which names, and who must be told.

Rules: one certificate and key per service, never shared; Vault and PostgreSQL are reached on loopback only, the edge
under the configured hosts as well. A running service is told only after its pair is whole on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from signal import SIGHUP, Signals
from typing import Final, TypeAlias

from nasos.tls import names
from nasos.tls.dev_ca import DevCa
from nasos.tls.leaf import Leaf, ensure_leaf

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
GATEWAY: Final = "gateway.localhost"
"""The same for the gateway, that nginx asks who may pass."""
NGINX: Final = "nginx.localhost"
"""On nginx's certificate as a client: the gateway listens to nobody else."""
BOT: Final = "bot.localhost"
"""A name that only the bot's certificate has: nginx asks for it, so that no other service can stand in for the bot."""

Notify: TypeAlias = Callable[[str, Leaf], None]
"""Called with a program's name and its new certificate, to make it use that."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that has a certificate."""

    name: str
    program: str
    """Its name in the stack, and whose uid owns the key."""
    reload_signal: Signals | None
    """What makes it read certificate and key again; None when it looks by itself."""


SERVICES: Final = (
    Service("vault", "vault", None),  # OpenBao watches its files (tls_auto_reload)
    Service("postgres", "postgres", SIGHUP),
    Service("bot", "bot", None),  # its launcher looks, and hands it to the running API
    Service("edge", "nginx", SIGHUP),
    Service("gateway", "gateway", None),  # it looks by itself
    Service("nginx", "nginx", SIGHUP),
)


def edge_hosts(configured: Sequence[str]) -> tuple[str, ...]:
    """The names of the edge: the configured ones, and loopback for who sits at the machine."""
    return tuple(str(host) for host in names.hosts((*configured, *LOOPBACK)))


def service_hosts(service: str, configured: Sequence[str]) -> tuple[str, ...]:
    """The names on a service's certificate."""
    match service:
        case "edge":
            return edge_hosts(configured)
        case "bot":
            return (BOT, *LOOPBACK)
        case "gateway":
            return (GATEWAY, *LOOPBACK)
        case "nginx":
            return (NGINX,)
    return LOOPBACK


def issue_all(  # noqa: PLR0913  one keyword per thing that the caller decides
    directory: Path,
    configured: Sequence[str],
    *,
    now: datetime,
    owners: Mapping[str, int | None] | None = None,
    force: bool = False,
    notify: Sequence[Notify] = (),
) -> list[Leaf]:
    """Make every service's certificate good; tell ``notify`` of each one that is new.

    ``owners`` maps a program's name to the uid that runs it.

    Raises:
        TlsError: The CA's key is damaged.
        FileRefused: The CA's key can be read by others, or the directory cannot be written.
        NameRefused: A configured host is neither name nor address.
    """
    ca = DevCa.open(directory, now=now, hosts=configured)
    leaves = []
    for service in SERVICES:
        hosts, owner = service_hosts(service.name, configured), (owners or {}).get(service.program)
        leaf = ensure_leaf(ca, directory, service.name, hosts, now=now, owner=owner, force=force)
        leaves.append(leaf)
        if leaf.issued:
            for tell in notify:
                tell(service.program, leaf)
    return leaves
