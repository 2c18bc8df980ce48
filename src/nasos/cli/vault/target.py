"""One server, and where its keys and credentials are kept: the local stack's, or the one that VAULT_ADDR names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from nasos import settings
from nasos.cli.context import operator_connection, service_connection
from nasos.cli.recorded import actor
from nasos.errors import SettingsError
from nasos.files import private_directory
from nasos.ledger import Ledger
from nasos.secret import Secret
from nasos.settings import Settings, Token, VaultConnection
from nasos.stack.bootstrap import desired
from nasos.stack.users import Users
from nasos.vault.bootstrap import Desired, Files
from nasos.vault.client import VaultApi
from nasos.vault.roles import entrusted
from nasos.vault.session import Session


@dataclass(frozen=True, slots=True)
class Target:
    """One server, and where its keys and credentials are kept."""

    settings: Settings
    connection: VaultConnection

    @classmethod
    def configured(cls) -> Target:
        """The server of VAULT_ADDR, else the local stack's."""
        loaded = settings.load()
        return cls(loaded, loaded.vault_connection or service_connection(loaded, "operator"))

    def api(self) -> VaultApi:
        """A connection to it."""
        plain = self.connection.address.startswith("http://")  # the settings let only an allowed one through
        return VaultApi(self.connection.address, self.connection.ca_file, self.connection.namespace, allow_plain=plain)

    @property
    def token(self) -> Secret | None:
        """VAULT_TOKEN."""
        credential = self.connection.credential
        return credential.value if isinstance(credential, Token) else None

    @contextmanager
    def authority(self, api: VaultApi) -> Iterator[Secret]:
        """A token of the person at the terminal, for requests to ``api``; given back afterwards where we logged in."""
        credential = operator_connection(self.settings).credential
        if credential is None:
            raise SettingsError("no credential is configured for this vault", "set VAULT_TOKEN")
        with closing(Session(api, credential)) as session:
            yield session.token()

    @property
    def actor(self) -> str:
        """What the ledger calls the person at the terminal."""
        return actor(self.settings)

    @property
    def files(self) -> Files:
        """Where keys and credentials go."""
        return Files.below(self.settings.home)

    @property
    def desired(self) -> Desired:
        """What the server should look like; only on the local stack do we know from where roles are used."""
        bot = self.settings.bot.name
        if self.settings.vault_connection is not None:
            return Desired(bots=(bot,), own=entrusted(self.settings.rotation, self.settings.gateway))
        return desired(self.settings, Users.of_this_process())

    def prepare(self) -> Ledger:
        """Directories for what bootstrap writes; the ledger that records it."""
        mode = 0o711 if Users.of_this_process().separate else 0o700
        for place in (self.settings.home, self.files.credentials):
            private_directory(place, mode=mode)
        if not self.files.answer.parent.is_dir():
            private_directory(self.files.answer.parent)
        return Ledger(self.settings.home / "ledger" / "events.jsonl", self.actor)
