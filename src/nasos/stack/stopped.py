"""The serving Vault out of the way for some seconds, and back afterwards, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Final

from nasos.errors import VaultUnreachable
from nasos.stack.aside import Place
from nasos.stack.configuration import write_vault_configuration
from nasos.stack.embedded import Stack
from nasos.stack.recorded import end_recorded
from nasos.vault import system
from nasos.vault.client import VaultApi
from nasos.vault.reconcile import Progress
from nasos.vault.regain import GivenShares, require_closed, unseal

BACK_SECONDS: Final = 30.0


def place(stack: Stack) -> Place:
    """Where the stack's second server runs."""
    users = stack.home.users
    return Place(
        directory=stack.home.root / "vault",
        log=stack.home.log / "vault-aside.log",
        ca_file=stack.ca_file,
        user=users.name("vault"),
        owner=users.uid("vault"),
    )


@contextmanager
def stopped(stack: Stack, shares: GivenShares, tell: Progress) -> Iterator[None]:
    """Nothing serves the data inside the block; after it what served before does, with today's configuration.

    Raises:
        VaultError: It does not serve again.
    """
    if not stack.supervisor.running():
        end_recorded(stack.home, "vault")
        yield
        return
    with closing(VaultApi(stack.vault_address, stack.ca_file)) as api:
        with suppress(VaultUnreachable):
            status = system.seal_status(api)
            shares.first(0 if status.recovery_seal else status.t)  # asked for before anything stops
        tell("vault stops for some seconds; the bot trades on with what it holds")
        stack.supervisor.stop("vault")
        try:
            yield
        finally:
            write_vault_configuration(stack)
            stack.supervisor.launch("vault")
            tell("vault is started again")
        system.wait_answering(api, BACK_SECONDS)
        unseal(api, shares)
        require_closed(api)
