"""Where alerts go: ``kv/nasos/alerts/<name>``, field ``url``."""

from __future__ import annotations

from typing import Final

from nasos.errors import SecretDeleted, SecretNotFound
from nasos.notify import Channel
from nasos.vault import VaultClient

FOLDER: Final = "alerts"
FIELD: Final = "url"


def read(client: VaultClient) -> list[Channel]:
    """All channels; ``client`` has the prefix ``nasos``.

    Raises:
        VaultError: Vault cannot be asked.
    """
    found = []
    for name in client.list(FOLDER):
        try:
            url = client.read(f"{FOLDER}/{name}").fields.get(FIELD)
        except (SecretDeleted, SecretNotFound):  # removed, also just now
            continue
        if url:
            found.append(Channel(name, url))
    return found
