"""The state directory: what is where, whose it is, and the record of this stack's identity and ports.

Rules (ARCHITECTURE.md, state directory): private from the first instant; the unseal key lies outside, found by the
stack's id, so that a copy of the directory alone cannot be unsealed; ``stack.json`` holds no secret.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import FileRefused, PortTaken, StackError
from nasos.files import atomic_write, private_directory
from nasos.settings import DEFAULT_PORT, Settings
from nasos.stack.users import Users

SOCKET_PATH_LIMIT: Final = 100
"""Bytes; ``sun_path`` holds 108 with its terminator (unix(7)), and supervisord appends a temporary suffix."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where each program listens; all but ``https`` on loopback always."""

    https: int
    vault: int
    postgres: int
    bot: int
    exchange: int
    vault_cluster: int

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
        )


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """``stack.json``."""

    id: str
    """Random name of this stack; the unseal key's directory carries it."""
    ports: Ports


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one stack."""

    root: Path
    users: Users

    @property
    def record_path(self) -> Path:
        """``stack.json``."""
        return self.root / "stack.json"

    @property
    def tls(self) -> Path:
        """Certificates and keys."""
        return self.root / "tls"

    @property
    def credentials(self) -> Path:
        """SecretID files."""
        return self.root / "credentials"

    @property
    def log(self) -> Path:
        """Logs of all programs."""
        return self.root / "log"

    @property
    def ledger(self) -> Path:
        """Security events of the operator's commands."""
        return self.root / "ledger" / "events.jsonl"

    @property
    def socket(self) -> Path:
        """The control socket of supervisord."""
        return self.root / "run" / "supervisor.sock"

    def run(self, program: str) -> Path:
        """Run directory of one program."""
        return self.root / "run" / program

    def bot(self, name: str) -> Path:
        """Directory of one bot."""
        return self.root / "bot" / name

    def record(self) -> Record | None:
        """The stack's record, if there ever was an ``up`` here.

        Raises:
            StackError: ``stack.json`` cannot be understood.
        """
        try:
            return msgspec.json.decode(self.record_path.read_bytes(), type=Record)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise FileRefused(
                f"{self.record_path} may not be read", f'"ls -ld {self.root}" shows whose stack this is'
            ) from None
        except msgspec.MsgspecError as error:
            raise StackError(
                f"{self.record_path} is damaged: {error}", f'restore it, or "./nasos down" and remove {self.root}'
            ) from None

    def prepare(self, bot: str) -> None:
        """Create every directory with its owner and mode (safe to repeat)."""
        if len(os.fsencode(self.socket)) > SOCKET_PATH_LIMIT:
            raise StackError(
                f"the path {self.root} is too long for a unix socket", "choose a shorter one: NASOS_HOME=~/nasos-state"
            )
        outer = 0o711 if self.users.separate else 0o700
        private_directory(self.root, mode=outer)
        for name in ("tls", "credentials", "run", "bot", "ledger"):
            private_directory(self.root / name, mode=outer)
        private_directory(self.log)
        for name, service in (("vault", "vault"), ("audit", "vault"), ("postgres", "postgres"), ("nginx", "nginx")):
            private_directory(self.root / name, self.users.uid(service))
        for name in ("primary", "second"):
            private_directory(self.root / "audit" / name, self.users.uid("vault"))
        private_directory(self.bot(bot), self.users.uid("bot"))
        for program in ("vault", "postgres", "exchange", "bot", "nginx", "supervisord"):
            private_directory(self.run(program), self.users.uid(program))

    def settle(self, settings: Settings, port: int | None) -> Record:
        """The record with the wanted ports, written if it is new or changed.

        Wanted is: ``port`` (the command's), else the configured one, else the recorded one, else 8443.
        """
        old = self.record()
        https = port or settings.port or (old.ports.https if old else DEFAULT_PORT)
        ports = old.ports if old and old.ports.https == https else Ports.following(https)
        record = Record(id=old.id if old else secrets.token_hex(4), ports=ports)
        if record != old:
            atomic_write(self.record_path, msgspec.json.format(msgspec.json.encode(record)) + b"\n", 0o644)
        return record

    def key_path(self, settings: Settings, record: Record) -> Path:
        """Where the unseal key is, outside the state directory.

        Raises:
            StackError: The configured directory lies inside the state directory.
        """
        directory = settings.key_dir or self.users.key_directory() / record.id
        if directory.resolve().is_relative_to(self.root.resolve()):
            raise StackError(
                f"the unseal key would lie inside {self.root}: a copy of the state could be unsealed",
                "set NASOS_KEY_DIR to a directory outside",
            )
        return directory / "unseal.key"


def require_free(ports: Ports, listen: str, programs: Iterable[str]) -> None:
    """Fail early, naming the port and who holds it.

    Raises:
        PortTaken: Something listens where a program of ours must.
    """
    names = ["https" if name == "nginx" else name for name in programs]
    for name in (*names, "vault_cluster"):
        address = listen if name == "https" else "127.0.0.1"
        port: int = getattr(ports, name)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise PortTaken(
                    f"port {port} ({name}) cannot be used: {(error.strerror or 'taken').lower()}{_holder(port)}",
                    f"choose another base port: ./nasos up --port {ports.https + 1000}",
                ) from None


def _holder(port: int) -> str:
    """`` (pid N, name)`` of the listener, where the kernel lets us see it."""
    wanted = f":{port:04X}"
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        fields = [row.split() for row in rows]
        inodes |= {field[9] for field in fields if field[1].endswith(wanted) and field[3] == "0A"}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(fd.readlink()) for fd in (process / "fd").iterdir()}
            if links & {f"socket:[{inode}]" for inode in inodes}:
                return f" by pid {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:
            continue
    return ""
