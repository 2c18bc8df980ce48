"""``nasos login`` and ``nasos logout``: a person's own token instead of the operator's credential."""

from __future__ import annotations

from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import click

from nasos.cli.output import note
from nasos.cli.vault.passwords import password
from nasos.cli.vault.target import Target
from nasos.errors import CredentialRejected, FileRefused, PermissionDenied, VaultError
from nasos.ledger import Ledger, Outcome
from nasos.secret import Secret
from nasos.vault import people
from nasos.vault.client import VaultApi
from nasos.vault.login import Login, LoginFile
from nasos.vault.retry import PATIENT


@click.command()
@click.argument("name")
def login(name: str) -> None:
    """Log in with a name and a password; commands then act as this person, for 8 hours or until "nasos logout"."""
    people.person_name(name)
    target, typed = Target.configured(), password()
    file, ledger = LoginFile.below(target.settings.home), _ledger(target, name)
    with closing(target.api()) as api:
        try:
            answer = PATIENT.call(lambda: people.log_in(api, name, typed))
        except CredentialRejected:
            ledger.append("vault.login", api.address, Outcome.REFUSED)
            raise
        _replace(api, file, name, answer)
        ledger.append("vault.login", api.address)
    note(f"logged in as {name} ({answer.rights or 'other policies'}), for {answer.seconds / 3600:.0f} h: nasos logout")


@click.command()
def logout() -> None:
    """End this login: its token is revoked, and commands act as the operator's role again."""
    target = Target.configured()
    file = LoginFile.below(target.settings.home)
    try:
        held = file.load()
    except FileRefused:
        file.forget()  # open to others, or damaged: it must go in any case, and its token cannot be used by us
        raise
    if held is None:
        note("nobody is logged in")
        return
    try:
        # A token goes to the server that gave it only; another one's ends by itself.
        if held.address == target.connection.address:
            with closing(target.api()) as api:
                _revoke(api, held.token)
    except VaultError as error:
        _ledger(target, held.name).append("vault.logout", held.address, Outcome.UNKNOWN)
        raise VaultError(
            f"{held.name} is logged out here, and vault could not be told ({error.message})",
            f"the token ends by itself at {held.until}",
        ) from None
    finally:
        file.forget()
    _ledger(target, held.name).append("vault.logout", held.address)
    note(f"{held.name} is logged out")


def _replace(api: VaultApi, file: LoginFile, name: str, answer: people.LoggedIn) -> None:
    """Keep the new login; the one before ends, and a new one that cannot be kept ends too."""
    before = None
    with suppress(FileRefused):
        before = file.load()
    until = datetime.now(UTC) + timedelta(seconds=answer.seconds)
    new = Login(address=api.address, name=name, rights=str(answer.rights or ""),
                until=until.isoformat(timespec="seconds"), token=answer.token)  # fmt: skip
    try:
        file.save(new)
    except FileRefused:
        with suppress(VaultError):
            _revoke(api, answer.token)
        raise
    if before is not None and before.address == api.address:
        with suppress(VaultError):  # it ends by itself
            _revoke(api, before.token)


def _revoke(api: VaultApi, token: Secret) -> None:
    with suppress(CredentialRejected, PermissionDenied):  # it has ended already
        api.request("POST", "auth/token/revoke-self", {}, token=token)


def _ledger(target: Target, name: str) -> Ledger:
    return Ledger(target.settings.home / "ledger" / "events.jsonl", name)
