"""Which files hold the keys that open the stack's Vault, by what names, and what is said when they are not there.

Rules: ``unseal.key`` opens the data, alone or with ``unseal.key.next``: while the key is being replaced the data may be
under either, and a server that is given both opens it in any case. The name of a key is derived from it. How it is kept
is derived from what is there, and no setting can disagree: a file on the disk counts; else the one in memory, which
came from ``unseal.key.age`` (a passphrase) or from systemd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nasos.errors import StackError
from nasos.files import read_private
from nasos.stack.embedded import Stack
from nasos.vault.server import key_id

_FIRST_NAME: Final = re.compile(r'_key_id\s*= "1"')
"""How keys were called before names were derived: in the configuration of a vault made then."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The key files of a static seal."""

    current: Path
    previous: Path | None = None
    """The one that data may still be under, while ``current`` replaces it."""

    @classmethod
    def at(cls, path: Path) -> Keys:
        """``path``, and what waits beside it."""
        successor = next_key(path)
        return cls(successor, path) if successor.exists() else cls(path)


def next_key(current: Path) -> Path:
    """Where the successor of a key waits until it is proven."""
    return current.with_name(f"{current.name}.next")


def wrapped(path: Path) -> Path:
    """Where a key lies under a passphrase (as an ordinary age file)."""
    return path.with_name(f"{path.name}.age")


def on_disk(stack: Stack) -> Path:
    """The key's file outside the state directory, there or not."""
    return stack.home.key_path(stack.settings, stack.record)


def in_memory(stack: Stack) -> Path:
    """The key's file on no disk, there or not."""
    return stack.home.memory_key(stack.settings, stack.record)


def keys(stack: Stack) -> Keys | None:
    """The key files as they are; None where people give key shares.

    Raises:
        StackError: There is data, and the key that opens it is gone, or waits for its passphrase.
    """
    if stack.settings.vault.seal == "shamir":
        return None
    path = on_disk(stack)
    for place in (path, in_memory(stack)):
        if place.exists():
            return Keys.at(place)
    if wrapped(path).exists():
        raise StackError(f"the unseal key {wrapped(path)} waits for its passphrase", "./nasos up")
    data = stack.home.root / "vault" / "data"
    if data.is_dir() and any(data.iterdir()):
        raise StackError(
            f"the unseal key {path} is gone: without it nothing in this vault can be read again",
            f"put the copy of it back there (chmod 600), or move {data} away for an empty vault; "
            "where systemd keeps the key, its unit starts the stack",
        )
    return Keys(path)


def key_name(stack: Stack, path: Path) -> str:
    """What the server calls the key in ``path``.

    Raises:
        FileRefused: It is missing, or open to others.
    """
    derived = key_id(read_private(path, owner=stack.home.users.uid("vault")))
    config = stack.home.root / "vault" / "config.hcl"
    oldest = path.name == "unseal.key" and config.exists() and _FIRST_NAME.search(config.read_text()) is not None
    return "1" if oldest else derived
