"""Replace credential files: mint, prove, write, wait, end the old ones, prove them dead.

Rules: everything new is in place before anything old is ended, and one wait serves all roles. Killed anywhere, each
role has a SecretID that works, and the next run (of this, or of bootstrap) ends what is left. A run asked for a long
overlap does not wait: a later one ends the old ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nasos.errors import CredentialRejected, PermissionDenied, SecretNotFound, VaultRefused
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import secret_ids
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials, Standing, State, log_in_once
from nasos.vault.reconcile import Progress
from nasos.vault.roles import Role
from nasos.vault.secret_ids import OVERLAP

LONGEST_WAIT: Final = timedelta(minutes=1)
"""A longer overlap is not waited for."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """What was done for one role."""

    role: str
    replaced: bool
    ended: int
    """How many SecretIDs were destroyed."""
    left: int
    """How many older ones of this file still work, until their overlap is over."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The credential files of one server, and the authority to replace them."""

    api: VaultApi
    token: Secret
    files: Credentials
    now: datetime
    tell: Progress = lambda _text: None
    sleep: Callable[[float], None] = time.sleep

    def standings(self, roles: Sequence[Role]) -> dict[str, Standing]:
        """How each role's credential is.

        Raises:
            VaultRefused: A role does not exist on the server.
            VaultError: The server cannot be asked.
            FileRefused: A file is open to others.
        """
        return {role.name: self._standing(role) for role in roles}

    def run(
        self, roles: Sequence[Role], *, older_than: timedelta | None = None, overlap: timedelta = OVERLAP
    ) -> tuple[Renewed, ...]:
        """Replace the credentials that are due, and end the ones before them.

        Raises:
            VaultError: A step was refused or lost; every role has a SecretID that works. Run it again.
            FileRefused: A file is open to others, or cannot be written.
        """
        before = self.standings(roles)
        replaced = {role.name: self._replaced(role, before[role.name], overlap) for role in roles
                    if due(before[role.name], older_than, self.now)}  # fmt: skip
        waited = overlap <= LONGEST_WAIT
        if replaced and waited and overlap:
            self.tell(
                f"old and new both work for {overlap.total_seconds():.0f} s: programs read the file at each login"
            )
            self.sleep(overlap.total_seconds())
        return tuple(self._ended(role, before[role.name], replaced if waited else {}, role.name in replaced)
                     for role in roles)  # fmt: skip

    def _standing(self, role: Role) -> Standing:
        try:
            return self.files.standing(self.api, self.token, role, self.now)
        except SecretNotFound:
            raise VaultRefused(f"the server has no role {role.full_name}", "nasos vault bootstrap") from None

    def _replaced(self, role: Role, before: Standing, overlap: timedelta) -> AppRole | None:
        """The credential that the file held, where the server took it."""
        held = self.files.load(role) if before.current else None
        self.tell(f"credentials/{role.name}.json: a new SecretID, proven by a login")
        self.files.mint(self.api, self.token, role, overlap)
        return held

    def _ended(self, role: Role, before: Standing, over: Mapping[str, AppRole | None], replaced: bool) -> Renewed:  # noqa: FBT001  a private step
        standing = self._standing(role)
        living = {minted.accessor for minted in standing.others}
        if replaced and before.current:  # also one that was made without a note of its file
            living.add(before.current.accessor)
        ending = living if role.name in over else set(standing.superseded(self.now))
        for accessor in ending:
            secret_ids.destroy(self.api, self.token, role, accessor)
        if old := over.get(role.name):
            self._require_dead(role, old)
        return Renewed(role.name, replaced, len(ending), len(living - ending))

    def _require_dead(self, role: Role, old: AppRole) -> None:
        try:
            log_in_once(self.api, old)
        except (CredentialRejected, PermissionDenied):
            return
        raise VaultRefused(f"what credentials/{role.name}.json held before still logs in", "run it again")


def due(standing: Standing, older_than: timedelta | None, now: datetime) -> bool:
    """Whether a credential is to be replaced: any, or one of that age; one that does not work or soon ends always."""
    if older_than is None or standing.current is None or standing.state is not State.GOOD:
        return True
    return now - standing.current.created >= older_than
