"""What rotates of the stack's PostgreSQL besides the bot's login: its administrator."""

from __future__ import annotations

from functools import partial
from typing import Final

from nasos.rotation.admin_roles import AdminRoles
from nasos.rotation.postgres import LOGIN
from nasos.rotation.rotator import Part, Unit
from nasos.stack import postgres
from nasos.stack.embedded import Stack
from nasos.vault import VaultClient

ADMIN: Final = "postgres/admin"
OVERLAP: Final = 60.0
"""Seconds for commands that are connected as the old one."""


def units(stack: Stack, vault: VaultClient) -> dict[str, Unit]:
    """The administrator; nobody holds his login for longer than one command."""
    rotator = AdminRoles(stack.database, partial(postgres.admin_login, vault), postgres.ADMIN)
    return {ADMIN: Unit(ADMIN, (Part(ADMIN, rotator, LOGIN),), (), OVERLAP)}
