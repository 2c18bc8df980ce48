"""Where everything listens, and who sits on a port that we need."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from nasos.errors import PortTaken

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where each program listens; all but ``https`` on loopback always."""

    https: Port
    vault: Port
    postgres: Port
    bot: Port
    exchange: Port
    vault_cluster: Port
    gateway: Port

    @classmethod
    def following(cls, https: int) -> Ports:
        """The HTTPS port and the ones after it."""
        return cls(
            https=https,
            vault=https + 1,
            postgres=https + 2,
            bot=https + 3,
            exchange=https + 4,
            vault_cluster=https + 5,
            gateway=https + 6,
        )


def require_free(ports: Ports, listen: str, programs: Iterable[str]) -> None:
    """Fail early, naming the port and who holds it.

    Raises:
        PortTaken: Something listens where a program of ours must.
    """
    silent = {"housekeeping", "watcher", "rotator", "companion"}
    names = ["https" if name == "nginx" else name for name in programs if name not in silent]
    for name in (*names, "vault_cluster"):
        address = listen if name == "https" else "127.0.0.1"
        port: int = getattr(ports, name)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            raise _refused(error, name, address, port, ports.https) from None


def _refused(error: OSError, name: str, address: str, port: int, base: int) -> PortTaken:
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL):
        return PortTaken(
            f"nothing can listen on {address}: this machine does not have that address",
            'listen = "127.0.0.1" under [stack] of nasos.toml, or one that "ip address" shows',
        )
    reason = os.strerror(error.errno or 0).lower()
    other = base + 1000 if base + 1000 <= 65529 else base - 1000
    return PortTaken(
        f"port {port} ({name}) cannot be used: {reason}{_holder(port)}",
        f"choose another base port: ./nasos up --port {other}",
    )


def _holder(port: int) -> str:
    """`` by pid N (name)`` of the listener, where the kernel lets us see it."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(_link(fd) in sockets for fd in (process / "fd").iterdir()):
                return f" by pid {process.name} ({(process / 'comm').read_text().strip()})"
    return ""


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:  # closed since it was listed
        return ""


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen there (proc_net_tcp(5): local address, state, inode)."""
    wanted, listen = f":{port:04X}", "0A"
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [row.split() for row in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        inodes |= {row[9] for row in rows if row[1].endswith(wanted) and row[3] == listen}
    return inodes
