"""Secret zero: one private file per service with RoleID and SecretID, and ``app.secret-id`` for the user's programs.

Rules: a credential is minted only when it is missing, refused by the server, or in the last third of its life; a file
that others could read is an error, not a reason to write over it. An old SecretID is left to expire: it may be in use
on another machine.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import FileRefused, VaultRefused
from nasos.files import atomic_write, private_directory, read_private
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault.auth import RoleFile
from nasos.vault.client import VaultApi
from nasos.vault.roles import SECRET_ID_TTL, Role

RENEW_BEFORE: Final = timedelta(seconds=SECRET_ID_TTL / 3)
"""Left life under which a SecretID is replaced, so that any start within ten days of the end mends it."""


class State(enum.StrEnum):
    """How a role's credential file is."""

    GOOD = "good"
    MISSING = "missing"
    REFUSED = "refused by the server"
    EXPIRING = "near its end"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The directory of credential files."""

    directory: Path
    owners: Mapping[str, int]
    """Role name -> uid that the file belongs to."""

    def path(self, role: Role) -> Path:
        """The JSON file of a role."""
        return self.directory / f"{role.name}.json"

    def load(self, role: Role) -> AppRole | None:
        """The role's credential; None when there is none, or it is no credential any more.

        Raises:
            FileRefused: It is there, but others could read it.
        """
        owner = self.owners.get(role.name)
        if not self.path(role).exists():
            return None
        try:
            held = msgspec.json.decode(read_private(self.path(role), owner=owner), type=RoleFile)
        except msgspec.MsgspecError:
            return None
        if role.name == "app" and self._app_secret_id() != held.secret_id:
            return None
        return AppRole(role_id=held.role_id, secret_id=Secret(held.secret_id))

    def state(self, api: VaultApi, token: Secret, role: Role, now: datetime) -> State:
        """Whether the server takes the credential, and for how long (``role`` exists there)."""
        held = self.load(role)
        if held is None:
            return State.MISSING
        path = f"auth/approle/role/{role.full_name}"
        known = _text(api.request("GET", f"{path}/role-id", token=token), "role_id")
        shown = api.request("POST", f"{path}/secret-id/lookup", {"secret_id": held.secret_id}, token=token)
        if known != held.role_id or not shown:
            return State.REFUSED
        return State.EXPIRING if _ends_soon(_text(shown, "expiration_time"), now) else State.GOOD

    def mint(self, api: VaultApi, token: Secret, role: Role) -> None:
        """Make a new SecretID and write the role's file (for ``app`` the bare SecretID first)."""
        path = f"auth/approle/role/{role.full_name}"
        role_id = _text(api.request("GET", f"{path}/role-id", token=token), "role_id")
        secret_id = Secret(_text(api.request("POST", f"{path}/secret-id", {}, token=token), "secret_id"))
        if not self.directory.is_dir():
            private_directory(self.directory)
        if role.name == "app":
            atomic_write(self.directory / "app.secret-id", secret_id.reveal().encode() + b"\n")
        content = msgspec.json.encode({"role_id": role_id, "secret_id": secret_id.reveal()})
        atomic_write(self.path(role), content + b"\n", owner=self.owners.get(role.name))

    def any(self) -> bool:
        """Whether a credential was ever written here."""
        return self.directory.is_dir() and any(self.directory.glob("*.json"))

    def _app_secret_id(self) -> str | None:
        try:
            return read_private(self.directory / "app.secret-id").decode(errors="replace").strip()
        except FileRefused:
            return None


def _text(answer: Mapping[str, object], key: str) -> str:
    data = answer.get("data")
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise VaultRefused(f"the server's answer has no {key}", "check VAULT_ADDR")
    return value


def _ends_soon(text: str, now: datetime) -> bool:
    end = datetime.fromisoformat(text)
    # Year 1 is Go's zero time: a SecretID that the operator made without an end.
    return end.year > 1 and end - now < RENEW_BEFORE
