"""The state directory: what is where, whose it is, and the record of this stack's identity and ports.

Rules (ARCHITECTURE.md, state directory): private from the first instant; the unseal key lies outside, found by the
stack's id, so that a copy of the directory alone cannot be unsealed; ``stack.json`` holds no secret.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from nasos.errors import FileRefused, StackError
from nasos.files import atomic_write, private_directory
from nasos.settings import DEFAULT_PORT, Settings
from nasos.stack.ports import Ports
from nasos.stack.users import Users

SOCKET_PATH_LIMIT: Final = 100
"""Bytes; ``sun_path`` holds 108 with its terminator (unix(7)), and supervisord appends a temporary suffix."""

UNSPELLABLE: Final = "\"'\\$%;#`"
"""Characters that one of the servers' configuration languages reads as its own; HCL cannot escape ``$`` and ``%``."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """``stack.json``."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
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
            return _completed(self.record_path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileRefused(
                f"{self.record_path} cannot be read: {(error.strerror or '').lower()}",
                f'"ls -ld {self.root}" shows whose stack this is',
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
        for name, service in (("vault", "vault"), ("audit", "vault"), ("postgres", "postgres"), ("nginx", "nginx"),
                              ("gateway", "gateway")):  # fmt: skip
            private_directory(self.root / name, self.users.uid(service))
        for name in ("primary", "second"):
            private_directory(self.root / "audit" / name, self.users.uid("vault"))
        private_directory(self.bot(bot), self.users.uid("bot"))
        for program in (
            "vault",
            "postgres",
            "exchange",
            "bot",
            "gateway",
            "nginx",
            "housekeeping",
            "watcher",
            "rotator",
            "companion",
            "supervisord",
        ):
            private_directory(self.run(program), self.users.uid(program))

    def settle(self, settings: Settings, port: int | None) -> Record:
        """The record with the wanted ports, written if it is new or changed.

        Wanted is: ``port`` (the command's), else the configured one, else the recorded one, else 8443.
        """
        old = self.record()
        https = port or settings.port or (old.ports.https if old else DEFAULT_PORT)
        ports = old.ports if old and old.ports.https == https else Ports.following(https)
        record = Record(id=old.id if old else os.urandom(4).hex(), ports=ports)
        if record != old:
            atomic_write(self.record_path, msgspec.json.format(msgspec.json.encode(record)) + b"\n", 0o644)
        return record

    def key_path(self, settings: Settings, record: Record) -> Path:
        """Where the unseal key is, outside the state directory.

        Raises:
            StackError: The configured directory and the state directory lie one in the other.
        """
        directory = settings.key_dir or self.users.key_directory() / record.id
        key_dir, root = directory.resolve(), self.root.resolve()
        if key_dir.is_relative_to(root):
            raise StackError(
                f"the unseal key would lie inside {self.root}: a copy of the state could be unsealed",
                "set NASOS_KEY_DIR to a directory outside",
            )
        if root.is_relative_to(key_dir):
            raise StackError(
                f"the state directory {self.root} lies inside the key's directory {directory}, which is Vault's alone",
                f"set NASOS_KEY_DIR to a directory of its own: {directory / 'unseal-key'}",
            )
        return directory / "unseal.key"

    def memory_key(self, settings: Settings, record: Record) -> Path:
        """Where the unseal key stands, in memory, when it is in plain text on no disk."""
        return (settings.runtime_dir or self.users.memory_directory(settings.session_dir)) / record.id / "unseal.key"

    def prepare_key_directory(self, settings: Settings, record: Record) -> Path:
        """Make the key's directory private to Vault; return the key's path.

        Raises:
            StackError: The configured directory is used for something else; nothing about it was changed.
        """
        path, owner = self.key_path(settings, record), self.users.uid("vault")
        if settings.key_dir is None:
            private_directory(path.parent.parent, mode=0o711 if self.users.separate else 0o700)
        elif path.parent.is_dir():
            require_own(path.parent, owner, "unseal.key")
        if not (path.exists() and _private(path.parent, owner)):  # systemd's credentials are on a read-only file system
            private_directory(path.parent, owner)
        return path


def _completed(content: bytes) -> Record:
    """A record of before the gateway names no port for it: it follows the base port like the others."""
    found = msgspec.json.decode(content, type=dict[str, object])
    ports = found.get("ports")
    if isinstance(ports, dict) and isinstance(ports.get("https"), int):
        found["ports"] = {"gateway": ports["https"] + 6, **ports}
    return msgspec.convert(found, Record)


def _private(directory: Path, owner: int | None) -> bool:
    """Whether a directory is its owner's alone already."""
    status = directory.stat()
    return status.st_uid == (os.geteuid() if owner is None else owner) and not status.st_mode & 0o077


def require_own(directory: Path, owner: int | None, name: str) -> None:
    """Somebody's home, or /etc, must not become private to Vault because it was named as the place of file ``name``.

    Raises:
        StackError: The directory holds other things.
    """
    if not directory.is_dir():
        return
    private = _private(directory, owner)
    others = {entry.name for entry in directory.iterdir()} - {name, f".{name}.new"}
    ours = any((directory / each).exists() for each in (name, f"{name}.age"))
    if others and not (private and ours):
        what = "the unseal key" if name == "unseal.key" else name
        raise StackError(
            f"{directory} holds other things ({min(others)}); {what} needs a directory of its own",
            f"NASOS_KEY_DIR={directory / 'nasos'}" if name == "unseal.key" else f"{directory / 'nasos'}",
        )


def require_spellable(path: Path, what: str) -> None:
    """Refuse a path that some server's configuration could not hold, before anything is made there.

    Raises:
        StackError: Names the character.
    """
    text = str(path)
    for sign in text:
        if sign in UNSPELLABLE or not sign.isprintable():
            raise StackError(
                f"{what} {text!r} has the character {sign!r}, which the servers' configuration files cannot hold",
                "choose a path with letters, digits, spaces and -_.+,@()",
            )
