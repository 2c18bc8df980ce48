"""From the recovery key to a new operator credential, also where every credential file is lost.

Rules: the serving Vault is stopped and never learns to make root tokens from key shares; that is done by a second
server (``aside``), which dies with us. Everything the operator lost is made by the ordinary bootstrap. The order of
the end is: no root token, no second server, the first one back. Killed anywhere, run it again, or ``nasos up``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from nasos.errors import Error
from nasos.files import ExclusiveLock
from nasos.ledger import Ledger, Outcome
from nasos.stack.aside import aside
from nasos.stack.bootstrap import desired
from nasos.stack.certificates import issue
from nasos.stack.configuration import vault_config
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import keys
from nasos.stack.seal.opening import opened
from nasos.stack.seal.wrapping import Ask
from nasos.stack.stopped import place, stopped
from nasos.vault.bootstrap import Desired, Files, Report, bootstrap
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.regain import GivenShares, end_forgotten, root_authority
from nasos.vault.renewal import Renewal

Tell = Callable[[str], None]


def mend(  # noqa: PLR0913  server, what it should be, files, key shares, and who is told
    api: VaultApi, wanted: Desired, files: Files, shares: GivenShares, *, ours: bool, ledger: Ledger, tell: Tell
) -> Report:
    """Make everything that is missing, and a new operator credential; ``api`` may make root tokens from key shares.

    Where the server is ``ours`` alone, root tokens that earlier, killed runs left are ended too.

    Raises:
        CredentialRejected: The shares are too few, or not this server's.
        VaultError: A step failed; run it again.
    """
    now = datetime.now(UTC)
    with root_authority(api, shares) as token:
        tell("the key shares made a root token, which was ended at once; what acts now ends by itself in 10 minutes")
        if ours and (ended := end_forgotten(api, token)):
            tell(f"ended {ended} root tokens that earlier runs had left")
        report = bootstrap(api, wanted, files, now=now, token=token, ledger=ledger, progress=tell)
        operator = [role for role in wanted.roles if role.name == "operator"]
        with ExclusiveLock(files.lock, "the bootstrap of vault"):
            Renewal(api, token, Credentials(files.credentials, wanted.owners), now, tell).run(
                operator, overlap=timedelta(0)
            )
    return report


def recover(stack: Stack, shares: GivenShares, tell: Tell, ask: Ask) -> Report:
    """The same for an embedded stack, running or not; ``ask`` is used where its unseal key waits for a passphrase.

    Raises:
        StackError: Another command changes the stack, or a second server cannot be started.
        CredentialRejected: The shares are too few, or not this server's.
        VaultError: A step failed; run it again.
    """
    wanted, files = desired(stack.settings, stack.home.users), Files.below(stack.home.root)
    ledger = stack.ledger()
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"), _recorded(ledger, stack.vault_address):
        issue(stack.home, stack.settings, now=datetime.now(UTC))
        with opened(stack, ask, tell):
            shares.first(1)  # who has none stops nothing
            with stopped(stack, shares, tell):
                config = replace(vault_config(stack, keys(stack)), root_from_shares=True)
                with aside(place(stack), config) as api:
                    return mend(api, wanted, files, shares, ours=True, ledger=ledger, tell=tell)


@contextmanager
def _recorded(ledger: Ledger, target: str) -> Iterator[None]:
    try:
        yield
    except Error as error:
        ledger.append("vault.recover", target, Outcome.FAILED, {"error": type(error).__name__})
        raise
    ledger.append("vault.recover", target)
