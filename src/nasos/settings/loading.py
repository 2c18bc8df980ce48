"""Environment, ``.env`` and ``nasos.toml`` together; the only reader of ``os.environ``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from nasos.errors import SettingsError
from nasos.secret import Secret
from nasos.settings.cloudflare import CloudflareTable
from nasos.settings.connection import VaultConnection, connection, secret_of
from nasos.settings.dotenv import read_dotenv
from nasos.settings.gateway import GatewaySettings
from nasos.settings.toml import (
    BotSettings,
    Document,
    HousekeepingSettings,
    RotationSettings,
    StackSettings,
    TlsSettings,
    VaultSettings,
    parse_document,
)


@dataclass(frozen=True, slots=True)
class CloudflareSettings:
    """What ``.env`` says about Cloudflare."""

    api_token: Secret | None
    zone_id: str | None
    table: CloudflareTable = field(default_factory=CloudflareTable)
    """``[cloudflare]`` of ``nasos.toml``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was configured."""

    home: Path
    """State directory, absolute."""
    project: Path | None
    """The checkout, where there is one."""
    key_dir: Path | None
    """Explicit directory of the unseal key."""
    port: int | None
    """HTTPS port from the environment, ``.env`` or ``nasos.toml``; None when nobody said."""
    stack: StackSettings
    vault: VaultSettings
    tls: TlsSettings
    bot: BotSettings
    gateway: GatewaySettings
    housekeeping: HousekeepingSettings
    rotation: RotationSettings
    cloudflare: CloudflareSettings
    vault_connection: VaultConnection | None
    """From ``VAULT_ADDR`` and its companions; None when ``VAULT_ADDR`` is not set."""
    runtime_dir: Path | None = None
    """Explicit directory, in memory, of unseal keys that lie on no disk."""
    session_dir: Path | None = None
    """What this user's session has in memory (``XDG_RUNTIME_DIR``)."""
    credentials_dir: Path | None = None
    """What systemd passed to this process (``CREDENTIALS_DIRECTORY``), unless ``key_dir`` says otherwise."""

    def bot_python(self) -> Path:
        """The interpreter of the bot's own virtual environment; not resolved: the link's place decides what it sees.

        Raises:
            SettingsError: Nobody says where freqtrade is installed.
        """
        if self.bot.python:
            return Path(self.bot.python).expanduser().absolute()
        if self.project is None:
            raise SettingsError("nobody says where freqtrade is installed", "set python in [bot] of nasos.toml")
        return self.project / ".venv-bot" / "bin" / "python"


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None, *, files: bool = True) -> Settings:
    """Read environment, ``.env`` and ``nasos.toml`` (both from ``cwd``, else from the project).

    Without ``files`` the environment alone counts: for a program that is started by somebody who has read them, perhaps
    as a user who may not.

    Raises:
        SettingsError: Anything unreadable, unknown or contradictory; names file and line or key.
        FileRefused: A ``.env`` with secrets that others can read.
    """
    environment = os.environ if environ is None else environ
    project = _project(environment)
    places = _places(cwd or Path.cwd(), project) if files else []
    values = _merged(environment, places)
    document = _document(places)
    key_dir = _key_dir(values, document)
    return Settings(
        home=_home(values, project),
        project=project,
        key_dir=key_dir,
        port=_port(values.get("NASOS_PORT")) or document.stack.port,
        stack=document.stack,
        vault=document.vault,
        tls=document.tls,
        bot=document.bot,
        gateway=document.gateway,
        housekeeping=document.housekeeping,
        rotation=document.rotation,
        cloudflare=CloudflareSettings(
            api_token=secret_of(values.get("CLOUDFLARE_API_TOKEN")),
            zone_id=(values.get("CLOUDFLARE_ZONE_ID") or "").strip() or None,
            table=document.cloudflare,
        ),
        vault_connection=connection(values),
        runtime_dir=_directory(values.get("NASOS_RUNTIME_DIR")),
        # Of this process, never of a file.
        session_dir=_directory(environment.get("XDG_RUNTIME_DIR")),
        credentials_dir=None if key_dir else _directory(environment.get("CREDENTIALS_DIRECTORY")),
    )


def _places(here: Path, project: Path | None) -> list[Path]:
    return [here, project] if project and project != here else [here]


def child_environment(keep: tuple[str, ...] = (), environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """A clean environment for a child: what programs need to run, nothing that we were configured with."""
    environment = os.environ if environ is None else environ
    wanted = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR", *keep)
    return {name: environment[name] for name in wanted if name in environment}


class ChildIdentity(TypedDict, total=False):
    """The arguments of ``subprocess`` that say as whom a child runs."""

    user: int
    group: int
    extra_groups: Sequence[int]


def child_identity(uid: int | None) -> ChildIdentity:
    """Run a child as this user with this user's own group: by default it would keep root's. None changes nothing."""
    if uid is None:
        return {}
    import pwd

    return {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": ()}


def _project(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("NASOS_PROJECT")
    if named:
        return Path(named).resolve()
    root = Path(__file__).resolve().parents[3]
    return root if (root / "scripts" / "setup_security.sh").is_file() else None


def _home(values: Mapping[str, str], project: Path | None) -> Path:
    named = values.get("NASOS_HOME")
    if named:
        return Path(named).expanduser().resolve()
    if project:
        return project / ".nasos"
    state = values.get("XDG_STATE_HOME") or f"{values.get('HOME', '~')}/.local/state"
    return Path(state).expanduser().resolve() / "nasos"


def _key_dir(values: Mapping[str, str], document: Document) -> Path | None:
    return _directory(values.get("NASOS_KEY_DIR") or document.vault.key_dir)


def _directory(named: str | None) -> Path | None:
    return Path(named).expanduser().resolve() if named else None


def _port(value: str | None) -> int | None:
    if not value:
        return None
    if not re.fullmatch(r"[0-9]{4,5}", value) or not 1024 <= int(value) <= 65529:
        raise SettingsError(f"NASOS_PORT is {value!r}, not a port from 1024 to 65529", "NASOS_PORT=8443")
    return int(value)


def _merged(environment: Mapping[str, str], places: list[Path]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for place in reversed(places):
        path = place / ".env"
        if path.is_file():
            merged |= _set(read_dotenv(path))
    return merged | _set(environment)


def _set(values: Mapping[str, str]) -> dict[str, str]:
    # An empty variable means "not set" (compose passes those), so that it cannot hide a value further down.
    return {name: value for name, value in values.items() if value}


def _document(places: list[Path]) -> Document:
    for place in places:
        path = place / "nasos.toml"
        if path.is_file():
            return parse_document(path)
    return Document()
