"""The files that the programs are configured with; written before they start, and only when they change."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from nasos.bot import freqtrade
from nasos.errors import SecretNotFound, StackError
from nasos.files import atomic_write, private_directory, read_private
from nasos.secret import Secret
from nasos.settings import Settings
from nasos.stack import demo_exchange
from nasos.stack.certificates import issue
from nasos.stack.embedded import Stack
from nasos.stack.home import Home, require_own, require_spellable
from nasos.stack.housekeeping.duties import audit_files, second_device
from nasos.stack.seal.keys import Keys, key_name, keys, on_disk
from nasos.stack.users import Users
from nasos.vault import VaultClient
from nasos.vault.server import ServerConfig, make_unseal_key, render_config

LEAST_FREE_MB: Final = 300
"""Below this a database or an audit device would soon stop everything; better not to start."""


def require_platform(settings: Settings) -> None:
    """Refuse early what would fail late; nothing is made or changed yet.

    Raises:
        StackError: A path that a server's configuration cannot hold, too little disk, or an interpreter that the
            services' users cannot reach.
    """
    require_spellable(settings.home, "NASOS_HOME")
    require_spellable(Path(sys.prefix), "the installation")
    if settings.key_dir:
        require_spellable(settings.key_dir, "NASOS_KEY_DIR")
    # Not Path.exists(): it raises where a directory on the way is closed to us.
    place = next(path for path in (settings.home, *settings.home.parents) if os.path.exists(path))  # noqa: PTH110
    free = shutil.disk_usage(place).free >> 20
    if free < LEAST_FREE_MB:
        raise StackError(
            f"{free} MB are free on the disk of {settings.home}, {LEAST_FREE_MB} are needed", f"df -h {place}"
        )
    python = Path(sys.executable)
    Users.of_this_process().require_reach(
        [
            place,
            python.parent,
            python.resolve().parent,
            Path(__file__).resolve().parent,
            settings.bot_python().parent,
        ]
    )


def write_before_start(stack: Stack) -> None:
    """Unseal key, certificates and Vault's configuration: what must stand before anything starts."""
    home, settings, users = stack.home, stack.settings, stack.home.users
    now = datetime.now(UTC)
    # Before the key is looked for: a vault without one must not be told that it is lost.
    _require_same_seal(home.root / "vault" / "config.hcl", home.root / "vault" / "data", settings.vault.seal)
    held = keys(stack)
    if held is not None:
        if held.current.parent == on_disk(stack).parent:
            home.prepare_key_directory(settings, stack.record)
        for path in (held.previous, held.current):
            if path is not None:
                make_unseal_key(path, owner=users.uid("vault"))
    issue(home, settings, now=now)
    _prepare_second_audit(home, settings)
    write_vault_configuration(stack)


def write_vault_configuration(stack: Stack, held: Keys | None = None) -> None:
    """Vault's configuration, for these key files; None: for those that there are."""
    owner = stack.home.users.uid("vault")
    config = vault_config(stack, held or keys(stack))
    private_directory(config.data_dir, owner)
    atomic_write(stack.home.root / "vault" / "config.hcl", render_config(config).encode(), owner=owner)


def vault_config(stack: Stack, held: Keys | None) -> ServerConfig:
    """The configuration of the stack's Vault; ``held`` None: a person gives key shares after each start."""
    home, ports, settings = stack.home, stack.ports, stack.settings
    return ServerConfig(
        port=ports.vault,
        cluster_port=ports.vault_cluster,
        data_dir=home.root / "vault" / "data",
        tls_cert=home.tls / "vault.pem",
        tls_key=home.tls / "vault.key",
        audit_files=audit_files(home, settings),
        second_device=second_device(settings),
        unseal_key=held.current if held else None,
        key_id=key_name(stack, held.current) if held else "",
        previous_key=held.previous if held else None,
        previous_key_id=key_name(stack, held.previous) if held and held.previous else "",
    )


def _prepare_second_audit(home: Home, settings: Settings) -> None:
    """The directory of the second audit log; on another disk, or it would be worth nothing."""
    directory = audit_files(home, settings)[1].parent
    if settings.housekeeping.second_audit_dir is None:
        return
    require_spellable(directory, "second_audit_dir")
    if not directory.is_absolute() or not directory.parent.is_dir():
        raise StackError(f"second_audit_dir is {directory}, whose parent is no directory", "is its disk mounted?")
    if directory.parent.stat().st_dev == home.root.stat().st_dev:
        raise StackError(
            f"second_audit_dir {directory} lies on the same file system as {home.root}",
            'is its disk mounted? else take the line out of nasos.toml: "df" shows the disks',
        )
    require_own(directory, home.users.uid("vault"), "audit.log")
    private_directory(directory, home.users.uid("vault"))


def _require_same_seal(old: Path, data: Path, wanted: str) -> None:
    """A vault is opened by what it was made with; the server would refuse another seal, in worse words."""
    if not old.exists() or not data.is_dir() or not any(data.iterdir()):
        return
    made = "static" if 'seal "static"' in old.read_text() else "shamir"
    if made != wanted:
        raise StackError(
            f'this vault was made with seal = "{made}" and cannot be opened with "{wanted}"',
            f'seal = "{made}" under [vault] of nasos.toml, or another NASOS_HOME for a new stack',
        )


def ensure_api_secret(vault: VaultClient, bot: str) -> None:
    """Make the bot's API credentials in Vault, once."""
    fresh = {
        "api": {"username": Secret(bot), "password": Secret.random(), "ws_token": Secret.random()},
        "jwt": {"jwt_secret_key": Secret.random()},
    }
    for name, fields in fresh.items():
        try:
            vault.read(f"bots/{bot}/{name}")
        except SecretNotFound:
            vault.write(f"bots/{bot}/{name}", fields, cas=0)


def bot_configuration(stack: Stack) -> dict[str, object]:
    """The bot's configuration, everything but secrets.

    Raises:
        BotError: The operator's own file cannot be used.
    """
    settings = stack.settings
    return freqtrade.base_config(
        settings.bot,
        exchange=demo_exchange.ccxt_config(stack.ports.exchange) if settings.bot.exchange == "demo" else None,
        api_port=stack.ports.bot,
        db_url=f"postgresql+psycopg://127.0.0.1:{stack.ports.postgres}/{settings.bot.name}"
        f"?sslmode=verify-full&sslrootcert={quote(str(stack.ca_file))}",
        project=settings.project,
    )


def write_bot_configuration(stack: Stack) -> bool:
    """The bot's ``base.json``; return whether it is another than before."""
    settings, uid = stack.settings, stack.home.users.uid("bot")
    directory = stack.home.bot(settings.bot.name)
    private_directory(directory / "user_data", uid)
    base = bot_configuration(stack)
    content = msgspec.json.format(msgspec.json.encode(base)) + b"\n"
    path = directory / "base.json"
    before = path.read_bytes() if path.exists() else None
    if before != content:
        atomic_write(path, content, owner=uid)
    return before not in (None, content)


def write_app_environment(stack: Stack) -> None:
    """``app.env`` for ``VaultClient()`` in the operator's own programs; names the SecretID's file, not its value."""
    role_id = msgspec.json.decode(read_private(stack.home.credentials / "app.json"), type=_RoleId).role_id
    lines = [
        "# Written by nasos up. VaultClient() reads this where no VAULT_ADDR is set; copy it to .env to change it.",
        f"VAULT_ADDR={stack.vault_address}",
        f'VAULT_CACERT="{stack.ca_file}"',
        f"VAULT_ROLE_ID={role_id}",
        f'VAULT_SECRET_ID_FILE="{stack.home.credentials / "app.secret-id"}"',
    ]
    atomic_write(stack.home.root / "app.env", ("\n".join(lines) + "\n").encode())


class _RoleId(msgspec.Struct):
    """The part of a credential file that is no secret."""

    role_id: str
