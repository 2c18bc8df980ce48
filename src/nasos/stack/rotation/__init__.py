"""What rotates in this stack: one module per kind of owner, put together here."""

from __future__ import annotations

from datetime import UTC, datetime

from nasos.rotation.engine import Engine
from nasos.rotation.rotator import Unit
from nasos.rotation.run import Tell
from nasos.stack.embedded import Stack
from nasos.stack.rotation import bot, database, exchange, gateway, own
from nasos.stack.rotation.vault import procedures
from nasos.vault import VaultClient
from nasos.vault.kv import KvStore

__all__ = ["engine", "procedures", "units"]


def engine(stack: Stack, vault: VaultClient, tell: Tell, *, wait: float = 0.0) -> Engine:
    """The rotation of this stack's secrets; ``vault`` is the role ``rotator``."""
    return Engine(
        KvStore(vault.session), units(stack, vault), tell, lambda: datetime.now(UTC), wait, procedures(stack, vault)
    )


def units(stack: Stack, vault: VaultClient) -> dict[str, Unit]:
    """Everything that rotates, by name; also what is not stored yet."""
    key = exchange.unit(stack, vault)
    return {
        **bot.units(stack, vault),
        key.name: key,
        **database.units(stack, vault),
        **gateway.units(),
        **own.units(stack, vault),
    }
