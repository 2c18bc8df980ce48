"""What one stack's housekeeping has to look after; made by ``nasos up``, handed over as one argument.

Rules: no secret in it, and nothing that would have to be looked up: the program itself reads no settings.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from nasos.settings import Settings
from nasos.stack.home import Home
from nasos.stack.users import Owner

MB: Final = 1 << 20
PROGRAMS: Final = (
    "vault", "postgres", "exchange", "bot", "gateway", "nginx", "housekeeping", "watcher", "rotator", "companion",
    "supervisord",
)  # fmt: skip
"""Those whose output supervisord writes down."""


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """One log that grows."""

    path: Path
    writer: str = ""
    """Program that opens it anew when it is told; empty: its writer rolls it over by itself, to ``<path>.1``."""
    signal: int = 0
    reopened: bool = False
    """Its writers open it for each line: nobody has to be told."""
    owner: Owner | None = None
    """None: ours."""
    keep_bytes: int
    """Of what was put aside."""
    keep_days: int


class Duties(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    home: Path
    logs: tuple[Log, ...]
    rotate_bytes: int
    """A log that is larger is put aside."""
    disks: tuple[Path, ...]
    """Directories whose file systems must have room and get a ballast; the first is our own."""
    watched: tuple[Path, ...] = ()
    """Directories whose file systems must have room; a program of ours has no business in them."""
    ballast_bytes: int
    seconds: float = 5.0
    """Between two rounds."""

    def encode(self) -> str:
        """As an argument of the program."""
        return msgspec.json.encode(self, enc_hook=str).decode()

    @classmethod
    def decode(cls, text: str) -> Duties:
        """What `encode` made."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda kind, value: kind(value))


def duties(home: Home, settings: Settings) -> Duties:
    """What this stack needs."""
    chosen = settings.housekeeping
    return Duties(
        home=home.root,
        logs=tuple(_logs(home, settings)),
        rotate_bytes=chosen.rotate_mb * MB,
        disks=(home.run("housekeeping"), *(path.parent for path in audit_files(home, settings)), home.ledger.parent),
        watched=(home.root / "vault" / "data", home.root / "postgres"),
        ballast_bytes=chosen.ballast_mb * MB,
    )


def audit_files(home: Home, settings: Settings) -> tuple[Path, Path]:
    """Where Vault's two audit devices write."""
    chosen = settings.housekeeping.second_audit_dir
    second = Path(chosen).expanduser() if chosen else home.root / "audit" / "second"
    return home.root / "audit" / "primary" / "audit.log", second / "audit.log"


def second_device(settings: Settings) -> str:
    """Name of the second audit device: it follows its path, which a device of that name may never change."""
    chosen = settings.housekeeping.second_audit_dir
    return f"second-{hashlib.sha256(chosen.encode()).hexdigest()[:8]}" if chosen else "second"


def _logs(home: Home, settings: Settings) -> Iterator[Log]:
    chosen = settings.housekeeping
    keep, days = chosen.logs_mb * MB, chosen.logs_days
    for path in audit_files(home, settings):
        yield Log(
            path=path, writer="vault", signal=signal.SIGHUP, owner=home.users.owner("vault"),
            keep_bytes=chosen.audit_mb * MB, keep_days=chosen.audit_days,
        )  # fmt: skip
    for name in ("access.log", "error.log"):
        yield Log(
            path=home.root / "nginx" / name, writer="nginx", signal=signal.SIGUSR1, owner=home.users.owner("nginx"),
            keep_bytes=keep, keep_days=days,
        )  # fmt: skip
    for name in PROGRAMS:
        yield Log(path=home.log / f"{name}.log", keep_bytes=keep, keep_days=days)
    yield Log(path=home.log / "rotate.log", reopened=True, keep_bytes=keep, keep_days=days)
