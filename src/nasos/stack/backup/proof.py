"""After a restore: every credential logs in, or is mended, or is named.

Rules: Vault is the truth. A database password that is not the one in Vault (the two were restored to different moments,
or rotated between their snapshots) is set to Vault's by the administrator, as a verifier made here. Proven is what
logged in; nothing else counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from nasos.database import Endpoint, Login, can_login, connect, set_password
from nasos.errors import CredentialRejected, Error, SecretNotFound
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.stack.bootstrap import owners
from nasos.stack.embedded import Stack
from nasos.vault import VaultClient, snapshot
from nasos.vault.auth import AppRoleLogin, RoleFile
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.retry import PATIENT
from nasos.vault.roles import Role

MENDED: Final = "mended: Vault and PostgreSQL were of different moments; it logs in with Vault's password now"


@dataclass(frozen=True, slots=True)
class Proof:
    """One credential."""

    credential: str
    """``Vault role rotator``, ``PostgreSQL role nasos_a``."""
    works: bool
    said: str
    """What was done, or why it does not work."""


def renew_vault_credentials(stack: Stack, api: VaultApi, way_back: AppRole, stands_at: Path) -> list[Proof]:
    """End what was valid when the backup was made, make new SecretIDs, log in with each.

    ``stands_at`` is where the directory of the credential files will be.

    Raises:
        VaultError: The way back does not work; nothing can be made without it.
    """
    token = PATIENT.call(AppRoleLogin(api, way_back).obtain).token
    tokens = snapshot.end_all_tokens(api, token)
    names = snapshot.role_names(api, token)
    bots = [name.removeprefix("bot-") for name in names if name.startswith("bot-")]
    files, roles = (
        Credentials(stack.home.credentials, owners(stack.home.users, bots), stands_at=stands_at),
        [Role(name, "") for name in names],
    )
    ended = snapshot.renew_secret_ids(api, token, roles, files)
    proofs = [_proof(f"Vault role {role.name}", partial(_login, api, files, role)) for role in roles]
    snapshot.close_way_back(api, token)
    return [*proofs, Proof("old tokens and SecretIDs", True, f"{tokens} tokens and {ended} SecretIDs ended")]


def _login(api: VaultApi, files: Credentials, role: Role) -> str:
    credential = files.load(role)
    if credential is None:
        raise CredentialRejected(f"{files.path(role)} holds no credential", "nasos vault bootstrap")
    grant = PATIENT.call(AppRoleLogin(api, credential).obtain)
    api.request("POST", "auth/token/revoke-self", {}, token=grant.token)
    return "new SecretID logs in"


def mend_database(stack: Stack, vault: VaultClient, admin: Login) -> Iterator[Proof]:
    """The administrator and every bot's role."""
    server = stack.database
    yield _proof(f"PostgreSQL role {admin.username}", partial(_database_login, server, admin))
    for bot in _bots(vault):
        try:
            fields = vault.read(f"bots/{bot}/db").fields
        except SecretNotFound:
            continue
        login = Login(fields["username"].reveal(), fields["password"], bot)
        yield _proof(f"PostgreSQL role {login.username}", partial(_mended, server, admin, login))


def _bots(vault: VaultClient) -> tuple[str, ...]:
    try:
        return tuple(name.rstrip("/") for name in vault.list("bots"))
    except SecretNotFound:
        return ()


def _database_login(server: Endpoint, login: Login) -> str:
    with connect(server, login):
        return "logs in"


def _mended(server: Endpoint, admin: Login, login: Login) -> str:
    if can_login(server, login):
        return "logs in"
    with connect(server, admin) as db:
        set_password(db, login)
    with connect(server, login):
        return MENDED


def _proof(credential: str, login: Callable[[], str]) -> Proof:
    try:
        return Proof(credential, works=True, said=login())
    except Error as error:
        return Proof(credential, works=False, said=f"{error.message} ({error.hint})" if error.hint else error.message)


def decoded(content: bytes) -> AppRole:
    """The way back, as the backup holds it."""
    held = msgspec.json.decode(content, type=RoleFile)
    return AppRole(role_id=held.role_id, secret_id=Secret(held.secret_id))
