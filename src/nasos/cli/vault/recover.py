"""``nasos vault recover``: the way in when every credential is lost, with the recovery key."""

from __future__ import annotations

from contextlib import closing

import click

from nasos.cli.output import note, say
from nasos.cli.passphrase import asked
from nasos.cli.recorded import recorded
from nasos.cli.vault.shares import asked_shares
from nasos.cli.vault.target import Target
from nasos.stack.embedded import Stack
from nasos.stack.recover import mend
from nasos.stack.recover import recover as recover_stack
from nasos.vault.regain import GivenShares


@click.command()
def recover() -> None:
    """Make a new operator credential, and all others that are missing, with the recovery key (or key shares).

    They are asked for without echo, or read one per line from standard input. Vault restarts; the bot trades on.
    Where the stack is down and its unseal key has a passphrase, that is asked for first. Ended half-way, run it again.
    """
    target, shares = Target.configured(), GivenShares(asked_shares())
    ledger = target.prepare()

    def tell(text: str) -> None:
        note(f"  {text}")

    if target.settings.vault_connection is None:
        stack = Stack.existing(target.settings)
        report = recover_stack(stack, shares, tell, lambda: asked("passphrase of the unseal key"))
    else:
        with closing(target.api()) as api, recorded(target.settings, "vault.recover", api.address):
            report = mend(api, target.desired, target.files, shares, ours=False, ledger=ledger, tell=tell)
    note("  nasos up checks everything once more, and sets again what OpenBao forgets at a restart")
    say(f"recovered: {len(report.steps)} steps, and a new operator credential in {target.files.credentials}")
