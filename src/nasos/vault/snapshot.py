"""Raft snapshots, and the one credential that is valid in a restored server and nowhere else.

Rules:

* A snapshot is taken as role ``backup``, which may do nothing else; what it gets is encrypted by the server's keyring,
  and that by the seal. It is read back before it counts: a server that fails in mid-answer may still end it politely.
* SecretIDs live 30 days, a backup longer. So each backup has its own way back: a role ``nasos-restore`` that is made,
  caught by the snapshot, and removed from the living server in the same breath. Only who can decrypt the backup *and*
  unseal the restored server can use it.
* What was revoked after the backup was made lives again in a restored server: all tokens and SecretIDs of ours are
  ended there, and new SecretIDs are made.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from nasos.errors import SecretNotFound, VaultRefused
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.roles import Role

ROLE: Final = "nasos-restore"
"""Name of the role and the policy of the way back."""

_PATH: Final = "sys/storage/raft/snapshot"
_ROLE_PATH: Final = f"auth/approle/role/{ROLE}"
_POLICY_PATH: Final = f"sys/policies/acl/{ROLE}"
_TOKEN_TTL: Final = 900
"""Seconds: one restore."""

_POLICY: Final = """\
# Lives inside a backup only: new SecretIDs for every role, and the end of what was valid when it was made.
path "auth/approle/role" {
  capabilities = ["list"]
}
path "auth/approle/role/nasos-*" {
  capabilities = ["create", "read", "update", "delete", "list"]
}
path "sys/policies/acl/nasos-restore" {
  capabilities = ["delete"]
}
path "auth/token/lookup-self" {
  capabilities = ["read"]
}
path "auth/token/accessors" {
  capabilities = ["list", "sudo"]
}
path "auth/token/revoke-accessor" {
  capabilities = ["update"]
}
"""


def save(api: VaultApi, token: Secret, path: Path) -> None:
    """Write a snapshot to ``path`` (new, private).

    Raises:
        VaultError: The server refused or the answer broke off; the file is not whole.
    """
    with path.open("xb") as file:
        api.download(_PATH, file.write, token=token)
    _require_whole(path)


def restore(api: VaultApi, token: Secret, path: Path, *, force: bool = False) -> None:
    """Replace everything in the server by a snapshot; ``token`` and all others of this server are gone with it.

    Without ``force`` the server first proves that it has the snapshot's own seal key.

    Raises:
        VaultError: The server refused it; nothing was replaced.
    """
    with path.open("rb") as file:
        api.upload(f"{_PATH}-force" if force else _PATH, file, token=token)


def _require_whole(path: Path) -> None:
    """The snapshot's own sums (a gzip of meta.json, state.bin and SHA256SUMS)."""
    sums: dict[str, str] = {}
    found: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content and member.name == "SHA256SUMS":
                    sums = {line.split()[1]: line.split()[0] for line in content.read().decode().splitlines()}
                elif content:
                    found[member.name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, IndexError):
        sums = {}
    if not sums or any(found.get(name) != digest for name, digest in sums.items()):
        raise VaultRefused("vault's snapshot is not whole", "run it again; nasos logs vault")


@contextlib.contextmanager
def way_back(api: VaultApi, operator: Secret, cidrs: tuple[str, ...]) -> Iterator[AppRole]:
    """A credential that a snapshot taken inside the block will know, and the living server afterwards will not."""
    close_way_back(api, operator)  # of a run that was killed
    api.request("POST", _POLICY_PATH, {"policy": _POLICY}, token=operator)
    try:
        body = {
            "token_policies": [ROLE], "token_no_default_policy": True, "token_type": "service",
            "token_ttl": _TOKEN_TTL, "token_max_ttl": _TOKEN_TTL, "secret_id_ttl": 0, "secret_id_num_uses": 0,
            "secret_id_bound_cidrs": list(cidrs), "token_bound_cidrs": list(cidrs),
        }  # fmt: skip
        api.request("POST", _ROLE_PATH, body, token=operator)
        role_id = _data(api.request("GET", f"{_ROLE_PATH}/role-id", token=operator), _RoleId).role_id
        made = _data(api.request("POST", f"{_ROLE_PATH}/secret-id", {}, token=operator), _SecretId)
        yield AppRole(role_id=role_id, secret_id=Secret(made.secret_id))
    finally:
        close_way_back(api, operator)


def close_way_back(api: VaultApi, token: Secret) -> None:
    """Remove role and policy of the way back, if they are there."""
    for path in (_ROLE_PATH, _POLICY_PATH):
        with contextlib.suppress(SecretNotFound):
            api.request("DELETE", path, token=token)


def end_all_tokens(api: VaultApi, token: Secret) -> int:
    """Revoke every token but this one; return how many."""
    own = _data(api.request("GET", "auth/token/lookup-self", token=token), _Accessor).accessor
    accessors = _data(api.request("LIST", "auth/token/accessors", token=token), _Keys).keys
    ended = 0
    for accessor in accessors:
        if accessor != own:
            with contextlib.suppress(VaultRefused, SecretNotFound):  # it ran out meanwhile
                api.request("POST", "auth/token/revoke-accessor", {"accessor": accessor}, token=token)
                ended += 1
    return ended


def role_names(api: VaultApi, token: Secret) -> tuple[str, ...]:
    """Our roles on this server, without their prefix and without the way back."""
    names = _data(api.request("LIST", "auth/approle/role", token=token), _Keys).keys
    return tuple(name.removeprefix("nasos-") for name in names if name.startswith("nasos-") and name != ROLE)


def renew_secret_ids(api: VaultApi, token: Secret, roles: Iterable[Role], files: Credentials) -> int:
    """End every SecretID of these roles and write a new one to each role's file; return how many were ended."""
    ended = 0
    for role in roles:
        path = f"auth/approle/role/{role.full_name}"
        try:
            accessors = _data(api.request("LIST", f"{path}/secret-id", token=token), _Keys).keys
        except SecretNotFound:
            accessors = []
        for accessor in accessors:
            body = {"secret_id_accessor": accessor}
            api.request("POST", f"{path}/secret-id-accessor/destroy", body, token=token)
            ended += 1
        files.mint(api, token, role)
    return ended


class _RoleId(msgspec.Struct):
    role_id: str


class _SecretId(msgspec.Struct):
    secret_id: str


class _Accessor(msgspec.Struct):
    accessor: str


class _Keys(msgspec.Struct):
    keys: list[str]


_Kind = TypeVar("_Kind", _RoleId, _SecretId, _Accessor, _Keys)


def _data(answer: dict[str, object], kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(answer.get("data"), kind)
    except msgspec.ValidationError:
        raise VaultRefused("the server's answer cannot be understood", "check VAULT_ADDR") from None
