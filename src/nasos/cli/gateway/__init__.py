"""``nasos gateway``: the front door of the local stack.

``user`` is about people, ``token`` about programs, ``sessions`` about who is logged in; ``leaving`` is how all of
that ends for somebody, ``files`` the gateway's own database, as its user.
"""

from __future__ import annotations

import click

from nasos.cli.gateway.sessions import sessions
from nasos.cli.gateway.token import token
from nasos.cli.gateway.user import user

__all__ = ["gateway"]


@click.group()
def gateway() -> None:
    """The front door: people with a second factor, tokens for programs, and who is logged in."""


for _command in (user, token, sessions):
    gateway.add_command(_command)
