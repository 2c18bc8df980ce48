"""Vault's bootstrap as the embedded stack needs it: which bots, whose files, and when to begin again.

Rule: a stack that was bootstrapped once is not kept down by what its operator may not set back (a newer nasos wants
more, somebody changed a setting): that is said aloud and recorded, and the bot trades on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from nasos.errors import BootstrapRefused, CredentialRejected, PermissionDenied
from nasos.files import private_directory
from nasos.ledger import Outcome
from nasos.settings import Settings
from nasos.stack.embedded import Stack
from nasos.stack.users import Users
from nasos.vault.bootstrap import Desired, Files, bootstrap
from nasos.vault.client import VaultApi
from nasos.vault.roles import LOOPBACK, entrusted


def desired(settings: Settings, users: Users) -> Desired:
    """What the embedded server should look like."""
    return Desired(
        bots=(settings.bot.name,), bound_cidrs=LOOPBACK, owners=owners(users, [settings.bot.name]),
        own=entrusted(settings.rotation, settings.gateway),
    )  # fmt: skip


def owners(users: Users, bots: Iterable[str]) -> dict[str, int]:
    """Role -> uid of the service that reads its credential; empty where the operator runs everything."""
    reading = {"gateway": "gateway", "companion": "companion", **{f"bot-{bot}": "bot" for bot in bots}}
    return {role: uid for role, service in reading.items() if (uid := users.uid(service)) is not None}


def bootstrap_embedded(stack: Stack, wait_answering: Callable[[VaultApi], None], warn: Callable[[str], None]) -> None:
    """Make the running server what it should be; ``wait_answering`` waits until a started server answers.

    Raises:
        VaultError: It could not be made so, and no earlier run had finished.
    """
    home = stack.home
    api, files = VaultApi(stack.vault_address, stack.ca_file), Files.below(home.root)
    wait_answering(api)

    def begin_again() -> None:
        stack.supervisor.stop("vault")
        data = home.root / "vault" / "data"
        shutil.rmtree(data)
        private_directory(data, home.users.uid("vault"))
        stack.supervisor.launch("vault")
        wait_answering(api)

    ready_before = not files.answer.exists() and (files.credentials / "operator.json").exists()
    try:
        bootstrap(
            api,
            desired(stack.settings, home.users),
            files,
            ledger=stack.ledger(),
            now=datetime.now(UTC),
            begin_again=begin_again,
        )
    except (BootstrapRefused, PermissionDenied, CredentialRejected) as error:
        if not ready_before:
            raise
        stack.ledger().append("vault.bootstrap", api.address, Outcome.REFUSED, {"error": error.message})
        warn(f"Vault is not as it should be: {error.message} ({error.hint or 'nasos vault bootstrap --plan'})")
