"""``nasos vault``: the local stack's server, or the one that VAULT_ADDR names.

``prepare`` makes what it needs before its first start, ``server`` brings it up,
``credentials`` replaces secret zero, ``user`` is about people, ``recover`` the way in when all
is lost; ``target`` is the server they speak of, ``shares`` and ``passwords`` what a person types.
"""

from __future__ import annotations

import click

from nasos.cli.vault.credentials import credentials
from nasos.cli.vault.prepare import prepare
from nasos.cli.vault.recover import recover
from nasos.cli.vault.seal_key import seal_key
from nasos.cli.vault.server import bootstrap_command, status, unseal
from nasos.cli.vault.user import user

__all__ = ["vault"]


@click.group()
def vault() -> None:
    """Bootstrap, unseal and inspect the Vault server; its credentials and people."""


for _command in (prepare, bootstrap_command, status, unseal, credentials, user, recover, seal_key):
    vault.add_command(_command)
