"""``nasos vault seal-key rotate``: another key for the static seal."""

from __future__ import annotations

import click

from nasos.cli.output import note, say
from nasos.errors import UsageError
from nasos.settings import load
from nasos.stack.embedded import Stack
from nasos.stack.seal_rotation import rotate as rotate_key


@click.group("seal-key")
def seal_key() -> None:
    """The key that opens the local stack's Vault at each start."""


@seal_key.command()
def rotate() -> None:
    """Make a new unseal key, prove it, and prove the old one useless. Vault is away for some seconds.

    Ended half-way, run it again; "nasos up" opens the vault in any case.
    """
    settings = load()
    if settings.vault_connection is not None:
        raise UsageError("VAULT_ADDR names another server than the local stack's", "docs/vault.md")
    path = rotate_key(Stack.existing(settings), lambda text: note(f"  {text}"))
    say(str(path))
    note("  copy it to where you keep the copy of the old one; the old one still opens backups from before")
