"""``nasos vault user add | passwd | rm | list``: people who log in with a name and a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from nasos.cli.gateway.leaving import forget, log_out, shut_out
from nasos.cli.output import document, json_option, note, say
from nasos.cli.recorded import recorded
from nasos.cli.vault.passwords import new_password
from nasos.cli.vault.target import Target
from nasos.secret import Secret
from nasos.vault import people
from nasos.vault.client import VaultApi
from nasos.vault.people import Rights

_name = click.argument("name")


@click.group()
def user() -> None:
    """People who log in to Vault with a name and a password, and show up in the ledger under it."""


@user.command()
@_name
@click.option("--rights", type=click.Choice([str(each) for each in Rights]), default=str(Rights.VIEWER),
              show_default=True, help="viewer sees names and ages of secrets, operator does everything.")  # fmt: skip
def add(name: str, rights: str) -> None:
    """Let a person log in; the password is asked for without echo, or is one line of standard input."""
    people.person_name(name)
    target, password = Target.configured(), people.good_password(new_password())
    with _changing(target, name, {"what": "added", "rights": rights}) as (api, token):
        people.add(api, token, name, password, rights=Rights(rights), cidrs=target.desired.bound_cidrs)
    note(f"{name} may log in as {rights}: nasos login {name}")


@user.command()
@_name
def passwd(name: str) -> None:
    """Give a person another password; everything he is logged in to ends."""
    people.person_name(name)
    target, password = Target.configured(), people.good_password(new_password())
    with _changing(target, name, {"what": "another password"}) as (api, token):
        try:
            people.set_password(api, token, name, password)
        finally:
            log_out(target.settings, name, "another password")
    note(f"{name} has another password; what he was logged in to has ended")


@user.command()
@_name
def rm(name: str) -> None:
    """End a person's access, everything he is logged in to, and what he has at the front door."""
    target = Target.configured()
    with _changing(target, name, {"what": "removed"}) as (api, token):
        try:
            people.remove(api, token, name)
        finally:
            shut_out(target.settings, name, "removed")
            forget(target.settings, name)
    note(f"{name} can no longer log in; what he was logged in to has ended")


@contextmanager
def _changing(target: Target, name: str, detail: dict[str, str]) -> Iterator[tuple[VaultApi, Secret]]:
    with (
        recorded(target.settings, "vault.person", name, detail),
        closing(target.api()) as api,
        target.authority(api) as token,
    ):
        yield api, token


@user.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """Who may log in, and as what."""
    target = Target.configured()
    with closing(target.api()) as api, target.authority(api) as token:
        known = people.people(api, token)
    if as_json:
        document(known)
        return
    for person in known:
        say(f"{person.name:20} {person.rights or 'other policies'}")
    if not known:
        note("nobody yet: nasos vault user add NAME")
