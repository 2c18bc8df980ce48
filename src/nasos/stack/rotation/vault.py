"""What rotates of Vault itself: the SecretIDs of our services, the keyring, the key of the static seal.

Rules:

* The rotator mints for every role but ``operator``, whose SecretID is a ladder to everything: that one is replaced by
  ``nasos vault credentials renew``, and by every ``nasos up`` in the last third of its life.
* The keyring's new term is for what is written from now on; what was written before must be read to prove it whole.
* The seal key needs Vault stopped for some seconds. The lease is in Vault, too: while that is away, nobody can take it
  over, and `up.lock` keeps another run on this machine out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from nasos.errors import RotationError, VaultRefused
from nasos.files import ExclusiveLock
from nasos.rotation.procedure import Procedure
from nasos.rotation.rotator import Fence
from nasos.secret import Secret
from nasos.stack.bootstrap import desired
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import wrapped
from nasos.vault import VaultClient
from nasos.vault.bootstrap import Files
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.kv import KvStore
from nasos.vault.renewal import Renewal
from nasos.vault.roles import Role

KEYRING: Final = "vault/keyring"
SEAL_KEY: Final = "vault/seal-key"
NOT_OURS: Final = "operator"


def procedures(stack: Stack, vault: VaultClient) -> dict[str, Procedure]:
    """By name; the seal key where a file holds it."""
    wanted = desired(stack.settings, stack.home.users)
    found: list[Procedure] = [
        SecretId(stack, vault, role, wanted.owners) for role in wanted.roles if role.name != NOT_OURS
    ]
    found.append(Keyring(vault))
    if stack.settings.vault.seal == "static":
        found.append(SealKey(stack))
    return {procedure.name: procedure for procedure in found}


@dataclass(frozen=True, slots=True)
class SecretId:
    """A `Procedure` for the credential file of one role."""

    stack: Stack
    vault: VaultClient
    role: Role
    owners: Mapping[str, int]

    @property
    def name(self) -> str:
        """See `Procedure.name`."""
        return f"credentials/{self.role.name}"

    def since(self) -> datetime | None:
        """See `Procedure.since`."""
        with closing(self._api()) as api:
            current = self._renewal(api).standings([self.role])[self.role.name].current
        return current.created if current else None

    def run(self, fence: Fence) -> Sequence[str]:
        """See `Procedure.run`."""
        fence()
        files = Files.below(self.stack.home.root)
        with ExclusiveLock(files.lock, "the bootstrap of vault"), closing(self._api()) as api:
            [done] = self._renewal(api).run([self.role])
        return [f"a new SecretID logs in, {done.ended} old ones are refused"]

    def _renewal(self, api: VaultApi) -> Renewal:
        files = Credentials(self.stack.home.credentials, self.owners)
        return Renewal(api, self.vault.session.token(), files, datetime.now(UTC))

    def _api(self) -> VaultApi:
        return VaultApi(self.stack.vault_address, self.stack.ca_file)


class _Status(msgspec.Struct):
    """Answer of ``sys/key-status``."""

    term: int
    install_time: datetime


@dataclass(frozen=True, slots=True)
class Keyring:
    """A `Procedure` for the key that encrypts what Vault stores."""

    vault: VaultClient

    @property
    def name(self) -> str:
        """See `Procedure.name`."""
        return KEYRING

    def since(self) -> datetime | None:
        """See `Procedure.since`."""
        return self._status().install_time

    def run(self, fence: Fence) -> Sequence[str]:
        """See `Procedure.run`; the completion marker was written under the first key there ever was."""
        before = self._status().term
        fence()
        self.vault.session.request("POST", "sys/rotate", {})
        after = self._status().term
        if after <= before:
            raise RotationError(f"the keyring's term is {after}, and was {before}", "nasos rotate now vault/keyring")
        KvStore(self.vault.session).read("nasos/_meta/bootstrap")
        return [f"term {after} after {before}", "what was written before is readable"]

    def _status(self) -> _Status:
        answer = self.vault.session.request("GET", "sys/key-status")
        try:
            return msgspec.convert(answer.get("data"), _Status)
        except msgspec.ValidationError:
            raise VaultRefused("the answer to sys/key-status cannot be understood", "check VAULT_ADDR") from None


@dataclass(frozen=True, slots=True)
class SealKey:
    """A `Procedure` for the key file that opens Vault at its start."""

    stack: Stack

    @property
    def name(self) -> str:
        """See `Procedure.name`."""
        return SEAL_KEY

    def since(self) -> datetime | None:
        """See `Procedure.since`: the file's own time; a copy has its own, so that this is a lower bound of its age."""
        path = self.stack.home.key_path(self.stack.settings, self.stack.record)
        found = next((each for each in (path, wrapped(path)) if each.exists()), None)
        return datetime.fromtimestamp(found.stat().st_mtime, UTC) if found else None

    def run(self, fence: Fence) -> Sequence[str]:
        """See `Procedure.run`."""
        from nasos.stack.seal.rotation import rotate

        fence()
        said: list[str] = []
        path = rotate(self.stack, said.append, _nobody)
        return [*said, f"copy {path} to where you keep the copy of the old one"]


def _nobody() -> Secret:
    """Nothing was stopped yet where this is asked."""
    raise RotationError("the unseal key has a passphrase, which a person has to give", "nasos vault seal-key rotate")
