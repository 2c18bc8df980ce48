"""Replace the key of the static seal: the new one proven, the old one proven useless, never none.

Rules: the new key waits beside the old one until the data is under it and opens with it alone; then one rename ends
the old. Before that both are given to every server, so that a run killed anywhere leaves a vault that opens, and the
next run goes on. Proof is a server that opens, or does not, over the real data. OpenBao moves data to the new key only
where a recovery key exists (measured, 2.7.2): that is looked at first.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nasos.errors import StackError, VaultSealed
from nasos.files import ExclusiveLock, atomic_write, fsync_directory
from nasos.ledger import Outcome
from nasos.stack.aside import aside
from nasos.stack.certificates import issue
from nasos.stack.configuration import vault_config
from nasos.stack.embedded import Stack
from nasos.stack.log import Log
from nasos.stack.seal import Keys, keys, next_key
from nasos.stack.stopped import place, stopped
from nasos.vault import system
from nasos.vault.reconcile import Progress
from nasos.vault.regain import GivenShares
from nasos.vault.server import ServerConfig, make_unseal_key, render_config

OPENS_SECONDS: Final = 60.0
REFUSES_SECONDS: Final = 60.0
_REFUSED: Final = "failed to unseal core"
"""What the server says when its key does not open the data (measured, OpenBao 2.7.2)."""


def rotate(stack: Stack, tell: Progress) -> Path:
    """Replace the key; return its file.

    Raises:
        StackError: This vault has no key file, no recovery key, or a proof failed; both keys are still there then.
        FileRefused: A key file is open to others, or cannot be written.
    """
    held = keys(stack)
    if held is None:
        raise StackError("this vault has no unseal key: people give key shares", "nasos vault status")
    key = held.previous or held.current
    ledger = stack.ledger()
    with ExclusiveLock(stack.home.root / "up.lock", "nasos up or down"):
        issue(stack.home, stack.settings, now=datetime.now(UTC))
        try:
            with stopped(stack, GivenShares(()), tell):
                _require_recovery_key(stack, held)
                make_unseal_key(next_key(key), owner=stack.home.users.uid("vault"))
                _replaced(stack, key, tell)
        except BaseException:
            ledger.append("vault.seal-key", stack.record.id, Outcome.FAILED)
            raise
    ledger.append("vault.seal-key", stack.record.id)
    return key


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
