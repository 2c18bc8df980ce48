"""From rights in Vault to a role at the gateway."""

from __future__ import annotations

from typing import Final

from nasos.gateway.access import Role
from nasos.vault.people import Rights

ROLES: Final = {Rights.OPERATOR: Role.ADMIN, Rights.TRADER: Role.TRADER, Rights.VIEWER: Role.VIEWER}


def role(rights: Rights | None) -> Role | None:
    """The role of a person with these rights; None: somebody gave other policies than nasos does."""
    return ROLES.get(rights) if rights else None
