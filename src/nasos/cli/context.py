"""Builds what commands share out of settings: where Vault is, and as whom to speak to it.

Rules: a service's credential file names role and SecretID and is read anew at each login; an address that was
configured (``VAULT_ADDR``) beats the local stack; nothing here asks the network.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from nasos.errors import SettingsError, StackError
from nasos.settings import AppRole, Settings, Token, VaultConnection


class _Ports(msgspec.Struct):
    vault: int


class _Stack(msgspec.Struct):
    """The part of ``stack.json`` that a client needs."""

    ports: _Ports


def service_connection(settings: Settings, role: str) -> VaultConnection:
    """The connection of one service: ``bot-nasos``, ``operator``, ``app``.

    Raises:
        SettingsError: Nothing says where Vault is, or there is no credential for the role.
        StackError: ``stack.json`` cannot be understood.
    """
    file = settings.home / "credentials" / f"{role}.json"
    credential = AppRole(role_id="", secret_id_file=file)
    configured = settings.vault_connection
    if configured is not None:
        own = credential if file.exists() else configured.credential
        return replace(configured, credential=_required(own, role))
    return VaultConnection(f"https://127.0.0.1:{_port(settings)}", settings.home / "tls" / "ca.pem", credential)


def _required(credential: Token | AppRole | None, role: str) -> Token | AppRole:
    if credential is None:
        raise SettingsError(f"there is no credential for the role {role}", "nasos vault bootstrap")
    return credential


def _port(settings: Settings) -> int:
    path = settings.home / "stack.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Stack).ports.vault
    except FileNotFoundError:
        raise SettingsError(
            f"VAULT_ADDR is not set, and there is no local stack in {settings.home}",
            "set VAULT_ADDR in .env, or start a stack: ./scripts/setup_security.sh",
        ) from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StackError(f"{path} cannot be read: {type(error).__name__}", f'"ls -l {path}" may tell') from None
