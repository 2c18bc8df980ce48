"""Before a start: the key stands where Vault finds it, and a person was asked for a passphrase only if he had to be.

Rules: a key file on the disk needs nobody; one in memory was asked for before. Else systemd's credential, else the
passphrase. Two ways that may disagree are refused: Vault would stay sealed, and nobody could tell why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nasos.errors import StackError
from nasos.files import read_private
from nasos.secret import Secret
from nasos.stack.embedded import Stack
from nasos.stack.seal import credential, memory
from nasos.stack.seal.keys import in_memory, next_key, on_disk, wrapped
from nasos.stack.seal.wrapping import Ask, unwrap

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """The keys that lie under a passphrase."""

    current: bytes
    successor: bytes | None


def protected(stack: Stack) -> bool:
    """Whether the key is under a passphrase; not while it also lies there in plain."""
    path = on_disk(stack)
    return stack.settings.vault.seal != "shamir" and wrapped(path).exists() and not path.exists()


def unwrapped(stack: Stack, passphrase: Secret) -> Opened:
    """What the passphrase opens.

    Raises:
        StackError: It is wrong.
    """
    path, owner = on_disk(stack), stack.home.users.uid("vault")
    later = wrapped(next_key(path))
    successor = unwrap(later, passphrase, owner) if later.exists() else None
    return Opened(unwrap(wrapped(path), passphrase, owner), successor)


def make_ready(stack: Stack, ask: Ask, tell: Tell) -> bool:
    """Make sure that Vault can start; whether the key was brought into memory for it now.

    Raises:
        StackError: A wrong passphrase, no place in memory, or two keys that differ.
        FileRefused: A key file is open to others, or no key.
    """
    if stack.settings.vault.seal == "shamir":
        return False
    path, passed = on_disk(stack), credential.given(stack.settings.credentials_dir)
    if path.exists():
        _beside(stack, path, passed, tell)
        return False
    if passed is not None and wrapped(path).exists():
        raise StackError(
            f"systemd passes an unseal key, and {wrapped(path)} is there too: which of them opens the vault?",
            f"take {credential.NAME} out of the unit, or move {wrapped(path)} away",
        )
    if in_memory(stack).exists():
        return False
    if passed is not None:
        memory.put(stack, passed)
    elif wrapped(path).exists():
        memory.require_memory(in_memory(stack).parent)  # before anybody is asked
        opened = unwrapped(stack, ask())
        memory.put(stack, opened.current, opened.successor)
    else:
        return False  # a new stack, or a key that is gone: `keys` says which
    return True


def _beside(stack: Stack, path: Path, passed: bytes | None, tell: Tell) -> None:
    """The file on the disk opens Vault; what else is there must not be taken for its protection."""
    if passed is not None:
        if passed != read_private(path, owner=stack.home.users.uid("vault")):
            raise StackError(
                f"the unseal key that systemd passes is another one than {path}",
                f"move the one away that is out of date: {path}, or {credential.NAME} of the unit",
            )
        tell(f"! systemd passes the unseal key, and it lies on the disk in plain: rm {path}")
    if wrapped(path).exists():
        tell("! the unseal key lies in plain beside the protected one: ./nasos vault seal-key protect")


@contextmanager
def opened(stack: Stack, ask: Ask, tell: Tell) -> Iterator[None]:
    """The key is there inside the block; what was brought for it goes again where nothing runs afterwards."""
    brought = make_ready(stack, ask, tell)
    try:
        yield
    finally:
        if brought and not stack.supervisor.running():
            memory.forget(stack)
