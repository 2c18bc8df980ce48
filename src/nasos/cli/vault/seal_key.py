"""``nasos vault seal-key rotate | protect | unprotect``: the key of the static seal.

Rules: a passphrase is asked for without echo or read from standard input, one per line; it is never an argument.
"""

from __future__ import annotations

import click

from nasos.cli.output import note, say
from nasos.cli.passphrase import asked
from nasos.errors import UsageError
from nasos.secret import Secret
from nasos.settings import load
from nasos.stack.embedded import Stack


@click.group("seal-key")
def seal_key() -> None:
    """The key that opens the local stack's Vault at each start."""


@seal_key.command()
def rotate() -> None:
    """Make a new unseal key, prove it, and prove the old one useless. Vault is away for some seconds.

    Ended half-way, run it again; "nasos up" opens the vault in any case. A passphrase that the key has is asked for,
    and the new one gets it too.
    """
    from nasos.stack.seal.rotation import rotate as rotate_key

    path = rotate_key(_stack(), _tell, _present)
    say(str(path))
    note("  copy it to where you keep the copy of the old one; the old one still opens backups from before")


@seal_key.command()
def protect() -> None:
    """Put the unseal key under a passphrase; where it has one, under another. Each start asks for it from then on.

    Asked for without echo, or the first line of standard input (the present one's, then the new one's, where it has
    one). It needs 12 characters. What runs runs on. Ended half-way, run it again.
    """
    from nasos.stack.seal.protection import protect as put_under

    path = put_under(_stack(), _present, _wanted, _tell)
    say(str(path))
    note("  copy it to where you keep the copy of the unseal key; without the passphrase nobody can open the vault")
    note(
        "  what was deleted may still be found on a disk: nasos vault seal-key rotate makes a key that was never there"
    )


@seal_key.command()
def unprotect() -> None:
    """Take the passphrase off: the key lies on the disk in plain, and the stack starts by itself again."""
    from nasos.stack.seal.protection import unprotect as take_off

    say(str(take_off(_stack(), _present, _tell)))


def _stack() -> Stack:
    settings = load()
    if settings.vault_connection is not None:
        raise UsageError("VAULT_ADDR names another server than the local stack's", "docs/vault.md")
    return Stack.existing(settings)


def _tell(text: str) -> None:
    note(f"  {text}")


def _present() -> Secret:
    return asked("passphrase of the unseal key")


def _wanted() -> Secret:
    return asked("new passphrase of the unseal key", twice=True)
