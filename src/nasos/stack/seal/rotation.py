"""Replace the key of the static seal: the new one proven, the old one proven useless, never none.

Rules: the new key waits beside the old one until the data is under it and opens with it alone; then one rename ends
the old. Before that both are given to every server, so that a run killed anywhere leaves a vault that opens, and the
next run goes on. Proof is a server that opens, or does not, over the real data. OpenBao moves data to the new key only
where a recovery key exists (measured, 2.7.2): that is looked at first. Under a passphrase both keys lie on the disk
protected, and in plain in memory only; the new one is never anywhere else.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.errors import StackError, VaultSealed
from nasos.files import ExclusiveLock, atomic_write, fsync_directory
from nasos.ledger import Outcome
from nasos.secret import Secret
from nasos.stack.aside import aside
from nasos.stack.certificates import issue
from nasos.stack.configuration import vault_config
from nasos.stack.embedded import Stack
from nasos.stack.log import Log
from nasos.stack.seal import memory
from nasos.stack.seal.keys import Keys, in_memory, keys, next_key, on_disk, wrapped
from nasos.stack.seal.opening import protected, unwrapped
from nasos.stack.seal.wrapping import Ask, closed, store
from nasos.stack.stopped import place, stopped
from nasos.vault import system
from nasos.vault.reconcile import Progress
from nasos.vault.regain import GivenShares
from nasos.vault.server import UNSEAL_KEY_BYTES, ServerConfig, make_unseal_key, render_config

OPENS_SECONDS: Final = 60.0
REFUSES_SECONDS: Final = 60.0
_REFUSED: Final = "failed to unseal core"
"""What the server says when its key does not open the data (measured, OpenBao 2.7.2)."""


def rotate(stack: Stack, tell: Progress, ask: Ask) -> Path:
    """Replace the key; return its file. ``ask`` is used where it is under a passphrase.

    Raises:
        StackError: This vault has no key file, no recovery key, the passphrase is wrong, or a proof failed; both keys
            are still there then.
        FileRefused: A key file is open to others, or cannot be written.
    """
    ledger = stack.ledger()
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        _require_ours(stack)
        guarded = _Guarded.made(stack, ask()) if protected(stack) else None  # what is wrong, before anything stops
        issue(stack.home, stack.settings, now=datetime.now(UTC))
        try:
            with _in_memory(stack, guarded), stopped(stack, GivenShares(()), tell):
                _rotated(stack, guarded, tell)
        except BaseException:
            ledger.append("vault.seal-key", stack.record.id, Outcome.FAILED, {"what": "rotated"})
            raise
    ledger.append("vault.seal-key", stack.record.id, detail={"what": "rotated"})
    return wrapped(on_disk(stack)) if guarded else on_disk(stack)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """The keys of a rotation under a passphrase."""

    current: bytes
    begun: bytes | None
    """The successor that an earlier run left."""
    fresh: bytes
    protected: bytes
    """What the file of ``fresh`` holds."""

    @classmethod
    def made(cls, stack: Stack, phrase: Secret) -> _Guarded:
        """From the disk, and a new key.

        Raises:
            StackError: The passphrase is wrong, or there is no place in memory.
        """
        memory.require_memory(in_memory(stack).parent)
        held, fresh = unwrapped(stack, phrase), secrets.token_bytes(UNSEAL_KEY_BYTES)
        return cls(held.current, held.successor, fresh, b"" if held.successor else closed(fresh, phrase))


def _rotated(stack: Stack, guarded: _Guarded | None, tell: Progress) -> None:
    owner = stack.home.users.uid("vault")
    key = in_memory(stack) if guarded else on_disk(stack)
    if guarded:
        memory.put(stack, guarded.current, guarded.begun)
    _require_recovery_key(stack, Keys.at(key))
    if guarded is None:
        make_unseal_key(next_key(key), owner=owner)
    elif guarded.begun is None:  # on the disk before anything can be under it
        store(wrapped(next_key(on_disk(stack))), guarded.protected, owner)
        memory.put(stack, guarded.current, guarded.fresh)
    _replaced(stack, key, tell)


def _require_ours(stack: Stack) -> None:
    """The key is one that we may write."""
    path = on_disk(stack)
    if stack.settings.vault.seal == "shamir":
        raise StackError("this vault has no unseal key: people give key shares", "nasos vault status")
    if path.exists() and wrapped(path).exists():
        raise StackError("the unseal key lies in plain beside the protected one", "nasos vault seal-key protect")
    if in_memory(stack).exists() and not (path.exists() or wrapped(path).exists()):
        raise StackError(
            "systemd passes the unseal key, which cannot be written there",
            f"put the key into {path} (chmod 600), rotate, encrypt it again, remove the file: docs/vault.md",
        )
    if not wrapped(path).exists():
        keys(stack)  # says so when it is gone


@contextmanager
def _in_memory(stack: Stack, guarded: _Guarded | None) -> Iterator[None]:
    """What is brought into memory stays there for a stack that runs, and for no other."""
    try:
        yield
    finally:
        if guarded and not stack.supervisor.running():
            memory.forget(stack)


def _require_recovery_key(stack: Stack, held: Keys) -> None:
    with aside(place(stack), vault_config(stack, held)) as api:
        system.wait_active(api, OPENS_SECONDS)
        if system.seal_status(api).n < 1:
            raise StackError(
                "this vault has no recovery key: the server would not move its data to a new unseal key",
                "make one first: sys/rotate/recovery/init",
            )


def _replaced(stack: Stack, key: Path, tell: Progress) -> None:
    new = next_key(key)
    both = vault_config(stack, Keys(new, key))
    alone = replace(both, previous_key=None)
    with aside(place(stack), both) as api:
        system.wait_active(api, OPENS_SECONDS)
    tell("the data is under a new key")
    with aside(place(stack), alone) as api:
        system.wait_active(api, OPENS_SECONDS)
    tell("the new key alone opens it")
    _require_useless(stack, replace(alone, unseal_key=key))
    tell("the old key does not open it any more")
    owner = stack.home.users.uid("vault")
    # From here on no configuration knows the old key by name, whatever it was called.
    atomic_write(stack.home.root / "vault" / "config.hcl", render_config(alone).encode(), owner=owner)
    if wrapped(next_key(on_disk(stack))).exists():  # the key that counts is the one that outlives this boot
        wrapped(next_key(on_disk(stack))).replace(wrapped(on_disk(stack)))
        fsync_directory(on_disk(stack).parent)
    new.replace(key)
    fsync_directory(key.parent)


def _require_useless(stack: Stack, config: ServerConfig) -> None:
    """The old key, under the new one's name, must not open the data: not for want of a name."""
    where = place(stack)
    said, log = "", Log(where.log)
    deadline = time.monotonic() + REFUSES_SECONDS
    with aside(where, config) as api:
        while _REFUSED not in said:
            if system.health(api).active:
                raise StackError(
                    "the old unseal key still opens the vault; both keys are kept", "nasos vault seal-key rotate"
                )
            if time.monotonic() > deadline:
                raise StackError(
                    "whether the old unseal key is useless could not be told; both are kept", f"tail {where.log}"
                )
            said += log.new()
            time.sleep(0.05)
        with suppress(VaultSealed):
            system.wait_active(api, 0.0)
            raise StackError(
                "the old unseal key still opens the vault; both keys are kept", "nasos vault seal-key rotate"
            )
