"""Where the API tokens are in Vault; each may do its task and no more (docs/cloudflare.md, tokens)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nasos.errors import SettingsError
from nasos.secret import Secret

RECORDS: Final = "cloudflare/companion"
"""For DNS records."""
ZONE: Final = "cloudflare/zone"
"""For the zone's settings and rules, and for certificates."""
ACME: Final = "cloudflare/acme"
"""For challenges in DNS: read by the program of the user's that has it from here, and by the check."""
FIELD: Final = "token"


def token_in(fields: Mapping[str, Secret], path: str) -> Secret:
    """The token in a record of Vault's.

    Raises:
        SettingsError: The record has none.
    """
    if not fields.get(FIELD):
        raise SettingsError(f"{path} in Vault has no field {FIELD}", f"nasos secret set {path} --field {FIELD}")
    return fields[FIELD]
