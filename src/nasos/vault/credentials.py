"""Secret zero: one private file per service with RoleID and SecretID, and ``app.secret-id`` for the user's programs.

Rules: a new SecretID is proven by a login before it replaces the old one, and the old one goes on working for an
overlap, so that a run that is killed anywhere leaves one that works. Bootstrap replaces what is missing, refused by
the server, or in the last third of its life; ``renewal`` what its operator wants replaced. A file that others could
read is an error, not a reason to write over it.
"""

from __future__ import annotations

import enum
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import CredentialRejected, FileRefused, PermissionDenied, VaultError
from nasos.files import atomic_write, private_directory, read_private
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import secret_ids
from nasos.vault.auth import AppRoleLogin, RoleFile
from nasos.vault.client import VaultApi
from nasos.vault.retry import PATIENT
from nasos.vault.roles import SECRET_ID_TTL, Role
from nasos.vault.secret_ids import QUIET_OVERLAP, Minted

RENEW_BEFORE: Final = timedelta(seconds=SECRET_ID_TTL / 3)
"""Left life under which a SecretID is replaced, so that any start within ten days of the end mends it."""


class State(enum.StrEnum):
    """How a role's credential file is."""

    GOOD = "good"
    MISSING = "missing"
    REFUSED = "refused by the server"
    EXPIRING = "near its end"


@dataclass(frozen=True, slots=True)
class Standing:
    """What file and server show of one role."""

    state: State
    current: Minted | None = None
    """The SecretID in the file; None where the server does not know it."""
    others: tuple[Minted, ...] = ()
    """Earlier ones of the same file that still work, and what killed runs left."""

    def superseded(self, now: datetime) -> tuple[str, ...]:
        """Accessors of the others that nobody can hold any more."""
        return secret_ids.superseded(self.others, self.current, now) if self.current else ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The directory of credential files."""

    directory: Path
    owners: Mapping[str, int]
    """Role name -> uid that the file belongs to."""
    provable: bool = True
    """Whether the roles may log in from this machine, as far as we know."""
    stands_at: Path | None = None
    """Where the directory will be, when it is built elsewhere: a SecretID remembers its place."""

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

    def standing(self, api: VaultApi, token: Secret, role: Role, now: datetime) -> Standing:
        """Whether the server takes the credential, for how long, and what it has superseded (``role`` exists there).

        Raises:
            VaultError: The server cannot be asked.
            FileRefused: The file is there, but others could read it.
        """
        held = self.load(role)
        if held is None or held.secret_id is None:
            return Standing(State.MISSING)
        known = secret_ids.text(
            api.request("GET", f"auth/approle/role/{role.full_name}/role-id", token=token), "role_id"
        )
        minted = secret_ids.look_up(api, token, role, held.secret_id)
        if known != held.role_id or minted is None:
            return Standing(State.REFUSED)
        soon = minted.expires is not None and minted.expires - now < RENEW_BEFORE
        others = secret_ids.others(api, token, role, minted) if minted.kept_in == self._place(role) else ()
        return Standing(State.EXPIRING if soon else State.GOOD, minted, others)

    def mint(self, api: VaultApi, token: Secret, role: Role, overlap: timedelta = QUIET_OVERLAP) -> None:
        """Make a new SecretID and write the role's file (for ``app`` the bare SecretID first).

        Where there is a file to lose, the new one is proven by a login first.

        Raises:
            CredentialRejected: The new one does not log in from here; it is destroyed, and the file is as it was.
        """
        path = f"auth/approle/role/{role.full_name}"
        role_id = secret_ids.text(api.request("GET", f"{path}/role-id", token=token), "role_id")
        secret_id = secret_ids.mint(api, token, role, self._place(role), overlap)
        if self.provable and self.load(role) is not None:
            try:
                log_in_once(api, AppRole(role_id=role_id, secret_id=secret_id))
            except (CredentialRejected, PermissionDenied):
                self._take_back(api, token, role, secret_id)
                raise CredentialRejected(
                    f"a new SecretID of {role.full_name} does not log in from here; the file is as it was",
                    "run this where the role may log in from: its secret_id_bound_cidrs",
                ) from None
        self._write(role, role_id, secret_id)

    def _take_back(self, api: VaultApi, token: Secret, role: Role, secret_id: Secret) -> None:
        minted = secret_ids.look_up(api, token, role, secret_id)
        if minted is not None:
            secret_ids.destroy(api, token, role, minted.accessor)

    def _write(self, role: Role, role_id: str, secret_id: Secret) -> None:
        if not self.directory.is_dir():
            private_directory(self.directory)
        if role.name == "app":
            atomic_write(self.directory / "app.secret-id", secret_id.reveal().encode() + b"\n")
        content = msgspec.json.encode({"role_id": role_id, "secret_id": secret_id.reveal()})
        atomic_write(self.path(role), content + b"\n", owner=self.owners.get(role.name))

    def _place(self, role: Role) -> str:
        return f"{socket.gethostname()}:{((self.stands_at or self.directory) / self.path(role).name).absolute()}"

    def any(self) -> bool:
        """Whether a credential was ever written here."""
        return self.directory.is_dir() and any(self.directory.glob("*.json"))

    def _app_secret_id(self) -> str | None:
        try:
            return read_private(self.directory / "app.secret-id").decode(errors="replace").strip()
        except FileRefused:
            return None


def log_in_once(api: VaultApi, credential: AppRole) -> None:
    """Prove that a credential logs in; the token is given back.

    Raises:
        CredentialRejected: It does not.
    """
    token = PATIENT.call(AppRoleLogin(api, credential).obtain).token
    with suppress(VaultError):  # it expires by itself
        api.request("POST", "auth/token/revoke-self", {}, token=token)
