"""Least privilege, asked of the real server: the whole matrix by capability, and every KV path by trying it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import pytest

from fixtures.vault import VaultUnderTest
from nasos.errors import PermissionDenied, SecretNotFound
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import AppRoleLogin
from nasos.vault.retry import PATIENT
from nasos.vault.roles import SERVICES, roles

LETTERS: Final = {
    "create": "C", "read": "R", "update": "U", "patch": "P", "delete": "D", "list": "L", "sudo": "S", "deny": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Matrix:
    """The written answers."""

    roles: tuple[str, ...]
    cells: dict[str, dict[str, str]]
    """Path -> role -> letters."""


def _read(path: Path) -> Matrix:
    head, *rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return Matrix(tuple(head[1:]), {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows})


MATRIX: Final = _read(Path(__file__).with_name("policy_matrix.txt"))


SERVICE_ROLES: Final = tuple(role for role in MATRIX.roles if role != "viewer")
"""Those with an AppRole; the viewer is a person."""


@pytest.fixture(scope="module")
def tokens(vault: VaultUnderTest) -> dict[str, Secret]:
    """One login per role: the login limit is real here too."""
    found: dict[str, Secret] = {}
    for role in SERVICE_ROLES:
        credential = vault.connection(role).credential
        assert isinstance(credential, AppRole)
        found[role] = PATIENT.call(AppRoleLogin(vault.api, credential).obtain).token
    body = {"policies": ["nasos-viewer"], "no_default_policy": True}
    auth = vault.api.request("POST", "auth/token/create-orphan", body, token=vault.root_token)["auth"]
    found["viewer"] = Secret(str(msgspec.convert(auth, dict[str, object])["client_token"]))
    return found


@pytest.mark.parametrize("role", MATRIX.roles)
def test_each_role_has_exactly_the_written_capabilities(
    vault: VaultUnderTest, tokens: dict[str, Secret], role: str
) -> None:
    """The server's answer for a logged-in role is the table's, on every path and for every capability."""
    asked = {"token": tokens[role], "paths": list(MATRIX.cells)}
    answer = vault.api.request("POST", "sys/capabilities", asked, token=vault.root_token)
    said = msgspec.convert(answer["data"], dict[str, object])
    shown = {
        path: "".join(letter for name, letter in LETTERS.items() if name in capabilities) or "-"
        for path in MATRIX.cells
        if (capabilities := msgspec.convert(said[path], list[str])) and not set(capabilities) - set(LETTERS)
    }
    assert shown == {path: cells[role] for path, cells in MATRIX.cells.items()}


@pytest.mark.parametrize("role", MATRIX.roles)
@pytest.mark.parametrize(
    "path", [path for path in MATRIX.cells if path.startswith(("kv/data/", "kv/metadata/")) and path[-1] != "/"]
)
def test_reading_and_writing_do_what_the_table_says(
    vault: VaultUnderTest, tokens: dict[str, Secret], role: str, path: str
) -> None:
    """A read goes through exactly where the table has R, and a refused write leaves no trace."""
    token, allowed = tokens[role], MATRIX.cells[path][role]
    if "R" in allowed:
        with contextlib.suppress(SecretNotFound):  # nothing there, but it was allowed to ask
            vault.api.request("GET", path, token=token)
    else:
        with pytest.raises(PermissionDenied, match=path):
            vault.api.request("GET", path, token=token)
    if not set("CU") & set(allowed):
        before = _version(vault, path)
        with pytest.raises(PermissionDenied):
            vault.api.request("POST", path, {"data": {"value": "intruder"}}, token=token)
        assert _version(vault, path) == before


def _version(vault: VaultUnderTest, path: str) -> object:
    try:
        return vault.api.request("GET", path.replace("/data/", "/metadata/", 1), token=vault.root_token)["data"]
    except SecretNotFound:
        return None


def test_the_table_has_every_role() -> None:
    """A role that is added without a column fails here."""
    assert set(SERVICE_ROLES) == {role.name for role in roles(("nasos", "other"))} >= set(SERVICES)


def test_no_role_carries_the_default_policy(vault: VaultUnderTest, tokens: dict[str, Secret]) -> None:
    """A token has its role's policy and nothing besides, lives an hour, and can be renewed."""
    for role in SERVICE_ROLES:
        answer = vault.api.request("GET", "auth/token/lookup-self", token=tokens[role])
        data = msgspec.convert(answer["data"], dict[str, object])
        assert data["policies"] == [f"nasos-{role}"]
        assert (data["creation_ttl"], data["renewable"], data["type"]) == (3600, True, "service")


def test_the_rotator_cannot_make_itself_operator(vault: VaultUnderTest, tokens: dict[str, Secret]) -> None:
    """It mints for the services it serves, but neither for the operator nor a role of more rights."""
    token = tokens["rotator"]
    assert vault.api.request("POST", "auth/approle/role/nasos-gateway/secret-id", {}, token=token)["data"]
    with pytest.raises(PermissionDenied):
        vault.api.request("POST", "auth/approle/role/nasos-operator/secret-id", {}, token=token)
    body = {"token_policies": ["nasos-operator"]}
    with pytest.raises(PermissionDenied):
        vault.api.request("POST", "auth/approle/role/nasos-gateway", body, token=token)
