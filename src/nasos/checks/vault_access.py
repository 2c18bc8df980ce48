"""How checks reach Vault: as the role ``checker``, with the CA that we hold; every token is given back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from nasos.checks.target import Target
from nasos.errors import Error, RateLimited, VaultError
from nasos.secret import Secret
from nasos.settings import AppRole, VaultConnection
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi
from nasos.vault.retry import PATIENT, Retry

SECONDS: Final = 3.0
"""Patience with one connection on the same machine."""

BUSY: Final = Retry(PATIENT.delays, {RateLimited: 4}, PATIENT.ceiling)
"""Only a full login quota is worth waiting for: anything else is what a check is there to tell."""


def connection(target: Target) -> VaultConnection:
    """How to reach Vault.

    Raises:
        Error: There is no stack and no VAULT_ADDR.
    """
    if target.vault is None:
        raise Error("no stack and no VAULT_ADDR: there is no vault to ask", "./nasos up")
    return target.vault


def api(target: Target) -> VaultApi:
    """Vault's API, with the CA that we hold."""
    to = connection(target)
    return VaultApi(to.address, to.ca_file, to.namespace, SECONDS, allow_plain=to.allow_plain)


@contextlib.contextmanager
def logged_in(target: Target) -> Iterator[tuple[VaultApi, Secret]]:
    """One kept connection and a token of the role ``checker``, for the length of a block."""
    to, server = connection(target), api(target)
    if not isinstance(to.credential, AppRole):
        raise Error("the role checker has no credential here", "./nasos vault bootstrap")
    grant = BUSY.call(AppRoleLogin(server, to.credential).obtain)
    try:
        yield server, grant.token
    finally:
        with contextlib.suppress(VaultError):
            server.request("POST", "auth/token/revoke-self", {}, token=grant.token)
        server.close()


def address(target: Target) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(connection(target).address)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
