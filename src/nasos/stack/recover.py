"""From the recovery key to a new operator credential, also where every credential file is lost.

Rules: the serving Vault is stopped and never learns to make root tokens from key shares; that is done by a second
server (``aside``), which dies with us. Everything the operator lost is made by the ordinary bootstrap. The order of
the end is: no root token, no second server, the first one back. Killed anywhere, run it again, or ``nasos up``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from nasos.errors import Error, VaultUnreachable
from nasos.files import ExclusiveLock
from nasos.ledger import Ledger, Outcome
from nasos.stack.aside import Place, aside
from nasos.stack.bootstrap import desired
from nasos.stack.certificates import issue
from nasos.stack.configuration import vault_config
from nasos.stack.embedded import Stack
from nasos.stack.recorded import end_recorded
from nasos.vault import system
from nasos.vault.bootstrap import Desired, Files, Report, bootstrap
from nasos.vault.client import VaultApi
from nasos.vault.credentials import Credentials
from nasos.vault.regain import GivenShares, end_forgotten, require_closed, root_authority, unseal
from nasos.vault.renewal import Renewal

BACK_SECONDS: Final = 30.0

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
    with _recorded(ledger, api.address), root_authority(api, shares) as token:
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


def recover(stack: Stack, key: Path | None, shares: GivenShares, tell: Tell) -> Report:
    """The same for an embedded stack, running or not; ``key`` is the file of its static seal.

    Raises:
        StackError: Another command changes the stack, or a second server cannot be started.
        CredentialRejected: The shares are too few, or not this server's.
        VaultError: A step failed; run it again.
    """
    wanted, files = desired(stack.settings, stack.home.users), Files.below(stack.home.root)
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        issue(stack.home, stack.settings, now=datetime.now(UTC))
        with _stopped(stack, shares, tell):
            config = replace(vault_config(stack, key), root_from_shares=True)
            with aside(place(stack), config) as api:
                return mend(api, wanted, files, shares, ours=True, ledger=stack.ledger(), tell=tell)


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
def _stopped(stack: Stack, shares: GivenShares, tell: Tell) -> Iterator[None]:
    """The serving Vault out of the way, and back afterwards."""
    with closing(VaultApi(stack.vault_address, stack.ca_file)) as api:
        if not stack.supervisor.running():
            end_recorded(stack.home, "vault")
            yield
            return
        with suppress(VaultUnreachable):
            shares.first(system.seal_status(api).t)  # asked for before anything stops
        tell("vault stops for some seconds; the bot trades on with what it holds")
        stack.supervisor.stop("vault")
        try:
            yield
        finally:
            stack.supervisor.launch("vault")
            tell("vault is started again")
        system.wait_answering(api, BACK_SECONDS)
        unseal(api, shares)
        require_closed(api)


@contextmanager
def _recorded(ledger: Ledger, target: str) -> Iterator[None]:
    try:
        yield
    except Error as error:
        ledger.append("vault.recover", target, Outcome.FAILED, {"error": type(error).__name__})
        raise
    ledger.append("vault.recover", target)
