"""``nasos gateway user add | enrol | totp | role | logout | rm``: people who come in by the front door.

Rules: nobody comes in without a second factor, so that adding somebody makes one; it is shown once, here or to him who
has the link. Who gets another role, another second factor, or is removed, is logged out everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from nasos.cli.context import operator_client
from nasos.cli.gateway.files import enrolments_of
from nasos.cli.gateway.leaving import forget, log_out, second_factor_of, shut_out, withdraw
from nasos.cli.output import note, qr
from nasos.cli.output import reveal as shown
from nasos.cli.recorded import recorded
from nasos.cli.vault.passwords import new_password
from nasos.cli.vault.target import Target
from nasos.errors import SecretNotFound
from nasos.gateway import second_factor
from nasos.gateway.access import Role
from nasos.gateway.rights import ROLES
from nasos.secret import Secret
from nasos.stack.embedded import Stack
from nasos.vault import people
from nasos.vault.client import VaultApi

HOURS: Final = 24
RIGHTS: Final = {role: rights for rights, role in ROLES.items()}

_name = click.argument("name")
_role = click.Choice([str(role) for role in Role])


@click.group()
def user() -> None:
    """People who come in by the front door: with a password and a code from their telephone."""


@user.command()
@_name
@click.option("--role", type=_role, default=str(Role.VIEWER), show_default=True,
              help="viewer looks, trader also trades, admin does everything.")  # fmt: skip
@click.option("--enrol", is_flag=True, help="show no second factor here: print a link by which he gets it himself.")
def add(name: str, role: str, *, enrol: bool) -> None:
    """Let a person in; the password is asked for, and the second factor is shown once, as a QR code."""
    people.person_name(name)
    target, password = Target.configured(), people.good_password(new_password())
    factor = second_factor.fresh()
    with _changing(target, name, {"what": "added", "role": role}) as (api, token):
        if people.person(api, token, name) is None:
            _keep(target, name, factor)
        people.add(api, token, name, password, rights=RIGHTS[Role(role)], cidrs=target.desired.bound_cidrs)
    if enrol:
        _offer(target, name, HOURS)
    else:
        withdraw(target.settings, name)
        _show(name, factor)
    note(f"{name} may come in as {role}")


@user.command("enrol")
@_name
@click.option("--hours", type=click.IntRange(1, 72), default=HOURS, show_default=True, help="how long the link lasts.")
def enrol_(name: str, hours: int) -> None:
    """Print a link by which a person gets another second factor himself, once; the one before ends."""
    target = Target.configured()
    with _changing(target, name, {"what": "a link for another second factor"}) as (api, token):
        _replace(target, api, token, name, second_factor.fresh())
    _offer(target, name, hours)


@user.command()
@_name
def totp(name: str) -> None:
    """Give a person another second factor; the one before ends, and so does what he is logged in to."""
    target, factor = Target.configured(), second_factor.fresh()
    with _changing(target, name, {"what": "another second factor"}) as (api, token):
        _replace(target, api, token, name, factor)
        withdraw(target.settings, name)
    _show(name, factor)


@user.command("role")
@_name
@click.argument("new", type=_role)
def role_(name: str, new: str) -> None:
    """Give a person another role; what he is logged in to, and the tokens that he made, end."""
    target = Target.configured()
    with _changing(target, name, {"what": "another role", "role": new}) as (api, token):
        try:
            people.set_rights(api, token, name, RIGHTS[Role(new)])
        finally:
            shut_out(target.settings, name, "another role")
    note(f"{name} is {new} now; what he was logged in to, and his programs' tokens, have ended")


@user.command()
@_name
def logout(name: str) -> None:
    """End everything that a person is logged in to at the front door, at once."""
    target = Target.configured()
    with recorded(target.settings, "gateway.revoke", name) as detail:
        detail["sessions"] = str(log_out(target.settings, name, "revoked"))
    note(f"{name} is logged out: {detail['sessions']} sessions")


@user.command()
@_name
def rm(name: str) -> None:
    """End a person's access, his second factor, everything he is logged in to, and the tokens that he made."""
    target = Target.configured()
    with _changing(target, name, {"what": "removed"}) as (api, token):
        try:
            people.remove(api, token, name)
        finally:
            shut_out(target.settings, name, "removed")
            forget(target.settings, name)
    note(f"{name} can no longer come in")


@contextmanager
def _changing(target: Target, name: str, detail: Mapping[str, str]) -> Iterator[tuple[VaultApi, Secret]]:
    with (
        recorded(target.settings, "vault.person", people.person_name(name), detail),
        closing(target.api()) as api,
        target.authority(api) as token,
    ):
        yield api, token


def _keep(target: Target, name: str, factor: Secret) -> None:
    with operator_client(settings=target.settings) as vault:
        vault.write(second_factor_of(name), {"totp": factor})


def _replace(target: Target, api: VaultApi, token: Secret, name: str, factor: Secret) -> None:
    if people.person(api, token, name) is None:
        raise SecretNotFound(f"there is no person {name}", f"nasos gateway user add {name}")
    _keep(target, name, factor)
    log_out(target.settings, name, "another second factor")


def _offer(target: Target, name: str, hours: int) -> None:
    """After the factor was made: a run that was killed in between leaves one that nobody has seen."""
    now = datetime.now(UTC)
    address = Stack.existing(target.settings).address
    with enrolments_of(target.settings) as links:
        link = links.offer(name, now, now + timedelta(hours=hours))
    note(f"give {name} this link; it works once, with his password, for {hours} hours")
    shown(Secret(f"{address}/auth/enrol#{link.reveal()}"))


def _show(name: str, factor: Secret) -> None:
    note("scan this with an authenticator app; it is shown once")
    qr(second_factor.address(factor, name))
    note("or type this key there:")
    shown(factor)
