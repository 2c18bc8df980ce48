"""Which file holds the key that opens the stack's Vault, and what is said when it is not there."""

from __future__ import annotations

from pathlib import Path

from nasos.errors import StackError
from nasos.stack.embedded import Stack


def key_file(stack: Stack) -> Path | None:
    """The key file of the static seal; None where people give key shares.

    Raises:
        StackError: There is data, and the key that opens it is gone.
    """
    if stack.settings.vault.seal == "shamir":
        return None
    path = stack.home.key_path(stack.settings, stack.record)
    data = stack.home.root / "vault" / "data"
    if not path.exists() and data.is_dir() and any(data.iterdir()):
        raise StackError(
            f"the unseal key {path} is gone: without it nothing in this vault can be read again",
            f"put the copy of it back there (chmod 600), or move {data} away for an empty vault",
        )
    return path
