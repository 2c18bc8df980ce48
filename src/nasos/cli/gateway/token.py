"""``nasos gateway token create | list | revoke``: what programs use in place of a password."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from nasos import settings as configuration
from nasos.cli.gateway.files import api_tokens_of
from nasos.cli.output import document, json_option, note, say
from nasos.cli.output import reveal as shown
from nasos.cli.recorded import actor, recorded
from nasos.errors import SecretNotFound
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import Scope


@click.group()
def token() -> None:
    """Tokens for programs: a role, an end, and nobody's password."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice([str(role) for role in Role]), default=str(Role.VIEWER), show_default=True,
              help="what it may do.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="how long it lasts.")
def create(name: str, role: str, days: int) -> None:
    """Make a token and show it once: Authorization: Bearer TOKEN."""
    settings, now = configuration.load(), datetime.now(UTC)
    detail = {"what": "created", "role": role, "days": str(days)}
    user = actor(settings)  # before we act as the gateway, who may not read a login
    with recorded(settings, "gateway.token", name, detail) as told, api_tokens_of(settings) as tokens:
        made, secret = tokens.create(
            name,
            Scope(Role(role), (settings.bot.name,)),
            user=user,
            now=now,
            ends=now + timedelta(days=days),
        )
        told["fingerprint"] = made.id
    note(f"{made.id}: {role} until {made.ends:%Y-%m-%d}; shown once")
    shown(secret)


@token.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """The tokens that count, by fingerprint."""
    settings = configuration.load()
    with api_tokens_of(settings) as tokens:
        alive = tokens.alive(datetime.now(UTC))
    if as_json:
        document(
            [
                {"id": each.id, "name": each.name, "user": each.user, "role": each.scope.role,
                 "bots": each.scope.bots, "made": each.made, "ends": each.ends}
                for each in alive
            ]
        )  # fmt: skip
        return
    for each in alive:
        say(f"{each.id}  {each.name:20} {each.scope.role:7} until {each.ends:%Y-%m-%d}")
    if not alive:
        note("none: nasos gateway token create NAME")


@token.command()
@click.argument("fingerprint")
def revoke(fingerprint: str) -> None:
    """End a token at once."""
    settings = configuration.load()
    with recorded(settings, "gateway.token", fingerprint, {"what": "revoked"}), api_tokens_of(settings) as tokens:
        if not tokens.revoke(fingerprint, datetime.now(UTC)):
            raise SecretNotFound(f"there is no living token {fingerprint}", "nasos gateway token list")
    note(f"{fingerprint} has ended")
