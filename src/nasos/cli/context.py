"""As whom a command speaks to Vault.

Rules: what ``.env`` or the environment says comes first; else who is logged in (``nasos login``); else the credential
file of the role.
A service's credential is its own file whatever the address: nothing borrows the operator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasos import settings as configuration
from nasos.bot.poke import poking
from nasos.cli.recorded import OPERATOR, tell
from nasos.errors import SettingsError, StackError
from nasos.ledger import Outcome
from nasos.settings import AppRole, Settings, Token, VaultConnection
from nasos.vault.login import LoginFile, require_address

if TYPE_CHECKING:
    from nasos.vault import VaultClient


def operator_client(prefix: str = "nasos", settings: Settings | None = None) -> VaultClient:
    """A client for the person at the terminal; its writes are in the ledger, and bots hear of theirs.

    Raises:
        SettingsError: Neither a Vault with a credential nor a local stack is configured.
    """
    from nasos.vault import VaultClient  # help and usage errors need no HTTP

    chosen = settings or configuration.load()

    def record(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        tell(chosen, event, target, outcome, detail)

    told = poking(chosen.home / "run" / "bot", record)
    return VaultClient(operator_connection(chosen), prefix=prefix, on_event=told)


def operator_connection(settings: Settings) -> VaultConnection:
    """As whom the person at the terminal speaks: the configured credential, else his login, else the operator's role.

    Raises:
        SettingsError: The login is another server's, or there is no server.
        FileRefused: The login's file is open to others.
    """
    configured = settings.vault_connection
    if configured and configured.credential:
        return configured
    connection = service_connection(settings, OPERATOR)
    login = LoginFile.below(settings.home).load()
    if login is None:
        return connection
    return replace(connection, credential=Token(require_address(login, connection.address).token))


def service_connection(settings: Settings, role: str) -> VaultConnection:
    """The connection of one service: the configured or the local Vault, ``credentials/<role>.json`` as credential.

    Raises:
        SettingsError: There is neither; the hint says how to get one.
    """
    credential = AppRole(role_id="", secret_id_file=settings.home / "credentials" / f"{role}.json")
    configured = settings.vault_connection
    if configured:
        return VaultConnection(
            configured.address, configured.ca_file, credential, configured.namespace, allow_plain=configured.allow_plain
        )
    return VaultConnection(_local_address(settings.home), settings.home / "tls" / "ca.pem", credential)


def _local_address(home: Path) -> str:
    from nasos.stack.home import Home
    from nasos.stack.users import Users

    try:
        record = Home(home, Users.of_this_process()).record()
    except StackError as error:
        raise SettingsError(error.message, error.hint) from None
    if record is None:
        raise SettingsError(
            f"VAULT_ADDR is not set, and there is no local stack in {home}",
            "set VAULT_ADDR in .env, or start a stack: ./scripts/setup_security.sh",
        )
    return f"https://127.0.0.1:{record.ports.vault}"
