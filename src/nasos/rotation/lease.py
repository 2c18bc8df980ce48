"""One rotator at a time, on any number of machines: a lease in Vault.

Rules:

* No clocks are compared. A contender watches the lease's version; a holder that has not renewed it for a whole `TTL` by
  the *contender's* monotonic clock is taken for gone (the way of DynamoDB's lock client).
* A holder that cannot renew stops by itself well before that: `Held.check` raises, and it stands before each step
  and each side effect.
* A holder of the same boot and pid namespace whose process is gone is taken over at once: a rotator that was killed
  is followed by the next in milliseconds.
* A lease does not fence what a paused process had already sent; the journal's check-and-set and the target's
  own lock do.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from nasos.errors import (
    AlreadyRunning,
    CheckAndSetMismatch,
    LeaseLost,
    OutcomeUnknown,
    SecretDeleted,
    SecretNotFound,
    VaultError,
)
from nasos.rotation.journal import FOLDER
from nasos.secret import Secret
from nasos.vault.store import SecretStore

PATH: Final = f"{FOLDER}/_lease"
TTL: Final = 15.0
"""Seconds without renewal after which a holder counts as gone."""
_RENEW: Final = TTL / 3
_OWN: Final = TTL * 2 / 3  # seconds after which a holder stops trusting itself: a third less than others wait
_LOOK: Final = 0.25  # seconds between looks at somebody else's lease


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds the lease; an empty ``nonce`` is nobody."""

    host: str = ""
    boot: str = ""
    namespace: str = ""
    pid: int = 0
    started: str = ""
    """Start time of the process (proc_pid_stat(5), field 22): a pid alone may be somebody else's by now."""
    nonce: str = ""


class Held:
    """The lease while it is ours; renewed by a thread."""

    def __init__(self, store: SecretStore, me: Holder, version: int, since: float) -> None:
        self._store, self._me, self._version, self._renewed = store, me, version, since
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renewing, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Stand before each step and each side effect.

        Raises:
            LeaseLost: It could not be renewed in time, or another rotator has it.
        """
        if self._lost or time.monotonic() - self._renewed > _OWN:
            raise LeaseLost("this rotator could not renew its lease in time", "nasos rotate resume")

    def release(self) -> None:
        """Give it back."""
        self._stop.set()
        self._thread.join()
        if not self._lost:
            with suppress(VaultError):  # it ends by itself
                self._store.write(PATH, _encoded(Holder()), cas=self._version)

    def _renewing(self) -> None:
        while not self._stop.wait(_RENEW):
            begun = time.monotonic()
            try:
                self._version = _written(self._store, self._me, self._version)
                self._renewed = begun
            except CheckAndSetMismatch:
                self._lost = True
                return
            except VaultError:  # away for a moment; `check` knows for how long
                continue


@contextmanager
def hold(store: SecretStore, wait: float) -> Iterator[Held]:
    """Take the lease, waiting at most ``wait`` seconds for another rotator; give it back afterwards.

    Raises:
        AlreadyRunning: Another rotator is at work; names it.
        VaultError: Vault cannot be asked.
    """
    held = _taken(store, time.monotonic() + wait)
    try:
        yield held
    finally:
        held.release()


def _taken(store: SecretStore, deadline: float) -> Held:
    me, seen, since = _myself(), -1, 0.0
    while True:
        begun = time.monotonic()
        version, holder = _read(store)
        if version != seen:
            seen, since = version, begun
        if _free(holder) or begun - since > TTL:
            with suppress(CheckAndSetMismatch):  # another contender was faster
                return Held(store, me, _written(store, me, version), begun)
        elif begun >= deadline:
            raise AlreadyRunning(
                f"another rotator is at work on {holder.host or 'an unknown host'} (pid {holder.pid})",
                f"wait for it; if it is gone, its lease ends by itself within {TTL:.0f} s",
            )
        else:
            time.sleep(_LOOK)


def _read(store: SecretStore) -> tuple[int, Holder]:
    try:
        record = store.read(PATH)
        return record.version, msgspec.json.decode(record.fields["holder"].reveal(), type=Holder)
    except SecretNotFound:
        return 0, Holder()
    except (SecretDeleted, KeyError, msgspec.MsgspecError):
        return store.metadata(PATH).current, Holder(nonce="?")  # not ours to understand; it runs out


def _written(store: SecretStore, holder: Holder, version: int) -> int:
    try:
        return store.write(PATH, _encoded(holder), cas=version)
    except OutcomeUnknown:
        current, there = _read(store)
        if there.nonce == holder.nonce and current == version + 1:
            return current
        raise


def _encoded(holder: Holder) -> dict[str, Secret]:
    return {"holder": Secret(msgspec.json.encode(holder).decode())}


def _free(holder: Holder) -> bool:
    if not holder.nonce:
        return True
    me = _myself()
    same_place = (holder.boot, holder.namespace) == (me.boot, me.namespace) and me.boot
    return bool(same_place) and _started(holder.pid) != holder.started


def _myself() -> Holder:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = str(Path("/proc/self/ns/pid").readlink())
    pid = os.getpid()
    return Holder(
        host=socket.gethostname(), boot=boot, namespace=namespace, pid=pid, started=_started(pid),
        nonce=secrets.token_hex(8),
    )  # fmt: skip


def _started(pid: int) -> str:
    """Start time of a living process; empty when there is none."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[19]
