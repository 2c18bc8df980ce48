"""What rotates of the stack's PostgreSQL besides the bot's login: its administrator."""

from __future__ import annotations

from functools import partial
from typing import Final

from nasos.database import Login
from nasos.files import ExclusiveLock
from nasos.rotation.admin_roles import AdminRoles
from nasos.rotation.postgres import LOGIN
from nasos.rotation.rotator import Part, Unit
from nasos.stack import health, postgres
from nasos.stack.embedded import Stack
from nasos.stack.log import Log
from nasos.stack.watch import Watch
from nasos.vault import VaultClient

ADMIN: Final = "postgres/admin"
BACK_SECONDS: Final = 60.0
OVERLAP: Final = 60.0
"""Seconds for commands that are connected as the old one."""


def _rescue(stack: Stack, admin: Login) -> None:
    """Let the stored administrator in again: PostgreSQL stops for some seconds, the bot's pool connects anew.

    Raises:
        DatabaseError: It could not be done.
        ProgramFailed: The server does not come back.
    """
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        stack.supervisor.stop("postgres")
        try:
            postgres.rescue(stack.database, admin)
        finally:
            stack.supervisor.launch("postgres")
        watch = Watch(stack.supervisor, "postgres", Log(stack.home.log / "postgres.log"))
        health.wait("postgres", health.postgres(stack.database, admin), BACK_SECONDS, watch)


def units(stack: Stack, vault: VaultClient) -> dict[str, Unit]:
    """The administrator; nobody holds his login for longer than one command."""
    rotator = AdminRoles(stack.database, partial(postgres.admin_login, vault), postgres.ADMIN, partial(_rescue, stack))
    return {ADMIN: Unit(ADMIN, (Part(ADMIN, rotator, LOGIN),), (), OVERLAP)}
