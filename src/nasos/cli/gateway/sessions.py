"""``nasos gateway sessions``: who is logged in at the front door."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from nasos import settings as configuration
from nasos.cli.gateway.files import sessions_of
from nasos.cli.output import document, json_option, note, say


@click.command()
@json_option
def sessions(*, as_json: bool) -> None:
    """Who is logged in, from where, and until when."""
    with sessions_of(configuration.load()) as opened:
        alive = opened.alive(datetime.now(UTC))
    if as_json:
        document(
            [
                {"sid": each.sid, "user": each.user, "role": each.role, "client": each.client,
                 "began": each.began, "renewed": each.renewed, "ends": each.ends}
                for each in alive
            ]
        )  # fmt: skip
        return
    for each in alive:
        say(f"{each.user:16} {each.role:7} since {each.began:%Y-%m-%d %H:%M} UTC  {each.client}")
    if not alive:
        note("nobody is logged in")
