"""``nasos.toml``, ``.env`` and the environment become frozen structs; the only reader of ``os.environ``.

Rules: the environment beats ``.env`` beats ``nasos.toml`` beats the default. An unknown or misspelt key is an
error that names file, line or key, and the nearest known one; nothing is guessed. A ``.env`` that holds a
secret must be private. No default credential exists. Callers are handed slices, never the whole.

==============  =====================================================================
``toml``        the tables of ``nasos.toml``
``schedule``    ``[rotation.schedule]``: time spans and parts of the day
``cloudflare``  ``[cloudflare]``
``gateway``     ``[gateway]``
``dotenv``      ``.env`` and the names that it may hold
``connection``  how to reach one Vault
``loading``     all of it together, and what of it a child gets
==============  =====================================================================
"""

from nasos.settings.cloudflare import CloudflareTable
from nasos.settings.connection import AppRole, Token, VaultConnection, connection_file, vault_address
from nasos.settings.dotenv import ENVIRONMENT_KEYS
from nasos.settings.gateway import GatewaySettings, OtherBot
from nasos.settings.loading import CloudflareSettings, Settings, child_environment, child_identity, load
from nasos.settings.toml import (
    DEFAULT_PORT,
    AcmeSettings,
    BotSettings,
    Document,
    HousekeepingSettings,
    OwnSecret,
    RotationSettings,
    StackSettings,
    TlsSettings,
    VaultSettings,
    bot_name,
    parse_document,
)

__all__ = [
    "DEFAULT_PORT",
    "ENVIRONMENT_KEYS",
    "AcmeSettings",
    "AppRole",
    "BotSettings",
    "CloudflareSettings",
    "CloudflareTable",
    "Document",
    "GatewaySettings",
    "HousekeepingSettings",
    "OtherBot",
    "OwnSecret",
    "RotationSettings",
    "Settings",
    "StackSettings",
    "TlsSettings",
    "Token",
    "VaultConnection",
    "VaultSettings",
    "bot_name",
    "child_environment",
    "child_identity",
    "connection_file",
    "load",
    "parse_document",
    "vault_address",
]
