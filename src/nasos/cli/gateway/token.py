"""``nasos gateway token create | list | revoke``: what programs use in place of a password."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from nasos import settings as configuration
from nasos.cli.gateway.files import api_tokens_of
from nasos.cli.output import document, json_option, note, say
from nasos.cli.output import reveal as shown
from nasos.cli.recorded import actor, recorded
from nasos.errors import SecretNotFound, UsageError
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import Scope
from nasos.settings import Settings


@click.group()
def token() -> None:
    """Tokens for programs: a role, an end, and nobody's password."""


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice([str(role) for role in Role]), default=str(Role.VIEWER), show_default=True,
              help="what it may do.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True, help="how long it lasts.")
@click.option("--bot", "bots", multiple=True, metavar="NAME",
              help="which bot it opens; may be repeated. Default: the stack's own.")  # fmt: skip
def create(name: str, role: str, days: int, bots: tuple[str, ...]) -> None:
    """Make a token and show it once: Authorization: Bearer TOKEN."""
    settings, now = configuration.load(), datetime.now(UTC)
    opened = _known(settings, bots)
    detail = {"what": "created", "role": role, "days": str(days), "bots": " ".join(opened)}
    user = actor(settings)  # before we act as the gateway, who may not read a login
    with recorded(settings, "gateway.token", name, detail) as told, api_tokens_of(settings) as tokens:
        made, secret = tokens.create(
            name,
            Scope(Role(role), opened),
            user=user,
            now=now,
            ends=now + timedelta(days=days),
        )
        told["fingerprint"] = made.id
    note(f"{made.id}: {role} of {', '.join(opened)} until {made.ends:%Y-%m-%d}; shown once")
    shown(secret)


def _known(settings: Settings, bots: Sequence[str]) -> tuple[str, ...]:
    known = (settings.bot.name, *settings.gateway.bots)
    for name in bots:
        if name not in known:
            raise UsageError(f"no bot {name} is behind this front door", f"it has: {', '.join(known)}")
    return tuple(dict.fromkeys(bots)) or known[:1]


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
        say(f"{each.id}  {each.name:20} {each.scope.role:7} until {each.ends:%Y-%m-%d}  {' '.join(each.scope.bots)}")
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
