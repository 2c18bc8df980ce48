"""The unseal key under a passphrase, and back: one way in at every instant, also when ended in between.

Rules: the plain key leaves the disk only when the protected one was read back and opened. A file in plain always
counts more than a protected one, so that what was ended half-way is as before, and the same command completes it. A
Vault that runs is first told of the place that stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nasos.errors import StackError
from nasos.files import ExclusiveLock, atomic_write, fsync_directory, read_private
from nasos.ledger import Outcome
from nasos.stack.configuration import write_vault_configuration
from nasos.stack.embedded import Stack
from nasos.stack.seal import memory
from nasos.stack.seal.keys import Keys, in_memory, next_key, on_disk, wrapped
from nasos.stack.seal.opening import Tell
from nasos.stack.seal.wrapping import Ask, unwrap, wrap


def protect(stack: Stack, present: Ask, wanted: Ask, tell: Tell) -> Path:
    """Put the key under the wanted passphrase, in place of the present one if it has one; return its file.

    Raises:
        StackError: There is no key to protect, it is being replaced, or a passphrase is wrong.
        UsageError: The wanted passphrase is too short.
        FileRefused: A key file is open to others, or cannot be written.
    """
    with _changing(stack, "protected") as path:
        owner = stack.home.users.uid("vault")
        memory.require_memory(in_memory(stack).parent)
        if not path.exists():
            key = unwrap(wrapped(path), present(), owner)
            wrap(wrapped(path), key, wanted(), owner)
            tell("the unseal key has another passphrase")
            return wrapped(path)
        key = read_private(path, owner=owner)
        wrap(wrapped(path), key, wanted(), owner)
        tell("the unseal key is under the passphrase, and opens with it")
        if stack.supervisor.running():
            memory.put(stack, key)
            write_vault_configuration(stack, Keys(in_memory(stack)))
            tell("the running Vault is started again from memory, until nasos down or a reboot")
        path.unlink()
        fsync_directory(path.parent)
        tell("it is in plain on the disk no more")
        return wrapped(path)


def unprotect(stack: Stack, present: Ask, tell: Tell) -> Path:
    """Put the key back on the disk in plain; return its file.

    Raises:
        StackError: It is not protected, it is being replaced, or the passphrase is wrong.
        FileRefused: A key file is open to others, or cannot be written.
    """
    with _changing(stack, "unprotected") as path:
        owner = stack.home.users.uid("vault")
        if not wrapped(path).exists():
            raise StackError("the unseal key has no passphrase", "nasos vault seal-key protect")
        key = unwrap(wrapped(path), present(), owner)
        if path.exists() and read_private(path, owner=owner) != key:
            raise StackError(
                f"{path} is another key than the protected one beside it",
                "nasos vault seal-key protect takes the former",
            )
        atomic_write(path, key, owner=owner)
        tell("the unseal key is on the disk in plain")
        if stack.supervisor.running():
            write_vault_configuration(stack)
        wrapped(path).unlink()
        fsync_directory(path.parent)
        memory.forget(stack)
        tell("nobody is asked for a passphrase any more")
        return path


@contextmanager
def _changing(stack: Stack, what: str) -> Iterator[Path]:
    """Alone, with a key that is complete; recorded, however it ends."""
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        path, detail = on_disk(stack), {"what": what}
        try:
            _require_settled(stack, path)
            yield path
        except BaseException:
            stack.ledger().append("vault.seal-key", stack.record.id, Outcome.FAILED, detail)
            raise
        stack.ledger().append("vault.seal-key", stack.record.id, detail=detail)


def _require_settled(stack: Stack, path: Path) -> None:
    if stack.settings.vault.seal == "shamir":
        raise StackError("this vault has no unseal key: people give key shares", "nasos vault status")
    if next_key(path).exists() or wrapped(next_key(path)).exists():
        raise StackError("the unseal key is being replaced", "nasos vault seal-key rotate")
    if not path.exists() and not wrapped(path).exists():
        raise StackError(
            f"there is no unseal key {path}: systemd passes it, or it is gone", "docs/vault.md says where it can be"
        )
