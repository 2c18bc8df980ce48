"""What was read a moment ago, and what may be used while Vault is away.

Rules:

* A value is fresh for `FRESH_FOR`; after that the next reader asks Vault. One reader per name asks; others who come
  meanwhile share the answer, error or not.
* While Vault is down or sealed, a value that was read at most ``max_stale`` seconds ago is served, and that is said
  aloud: a warning, and an event for the ledger. Never when Vault answered: denied, not found and deleted are raised.
* Our own write drops the value, and a read that was under way at that moment is not remembered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nasos.errors import RateLimited, VaultError, VaultSealed, VaultStandby, VaultUnreachable
from nasos.vault.store import Record

FRESH_FOR: Final = 2.0
"""Seconds. Another machine's write is seen within 5 s (the design's goal) with room for one slow read, and a
program in a tight loop costs Vault half a request per second and name."""

MAX_STALE: Final = 300.0
"""Seconds. Long enough for a restart, a new leader (2.7 s) or a person who comes to unseal; short enough that a
rotation, which waits this long before it retires a credential, is not held up for hours by a silent reader."""

PAUSE: Final = 1.0  # seconds between attempts while Vault is away: readers with an old value do not wait for timeouts
REMIND: Final = 60.0  # seconds between warnings in one outage

AWAY: Final = (VaultUnreachable, VaultSealed, VaultStandby, RateLimited)

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """A record and until when it is fresh (monotonic seconds)."""

    record: Record
    read_at: float
    fresh_until: float
    told_at: float | None = None
    """When staleness was last said aloud; None when Vault answers."""


@dataclass(slots=True)
class _Flight:
    """One read under way, shared by everybody who wants it."""

    landed: threading.Event = field(default_factory=threading.Event)
    record: Record | None = None
    error: Exception | None = None


class ReadCache:
    """Recent records by name; safe for many threads."""

    def __init__(
        self,
        fetch: Callable[[str, bool], Record],
        stale: Callable[[str, float, VaultError], None],
        max_stale: float = MAX_STALE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``fetch(name, patient)`` reads; not patient when an old value is at hand. ``stale`` says it aloud."""
        self.entries: dict[str, Entry] = {}
        self._fetch = fetch
        self._stale = stale
        self._max_stale = max_stale
        self._clock = clock
        self._lock = threading.Lock()
        self._flights: dict[str, _Flight] = {}

    def get(self, name: str) -> Record:
        """The record of ``name``: fresh, else asked for, else (Vault away) the last known one."""
        entry = self.entries.get(name)
        if entry is not None and self._clock() < entry.fresh_until:
            return entry.record
        with self._lock:
            flight = self._flights.get(name)
            first = flight is None
            if flight is None:
                flight = self._flights[name] = _Flight()
        if first:
            self._fly(name, flight)
        else:
            flight.landed.wait()
        if flight.record is not None:
            return flight.record
        raise flight.error or VaultUnreachable("the read was interrupted in another thread", "ask again")

    def drop(self, name: str) -> None:
        """Forget ``name``: it was written."""
        with self._lock:
            self._flights.pop(name, None)
            self.entries.pop(name, None)

    def doubt(self, name: str) -> None:
        """Ask Vault next time: a write's outcome is unknown."""
        with self._lock:
            self._flights.pop(name, None)
            if name in self.entries:
                self.entries[name].fresh_until = 0.0

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._flights.clear()
            self.entries.clear()

    def after_fork(self) -> None:
        """In a forked child: no thread lives that would land a flight or release the lock."""
        self._lock = threading.Lock()
        self._flights = {}

    def _fly(self, name: str, flight: _Flight) -> None:
        try:
            flight.record = self._fresh(name, flight)
        except Exception as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                if self._flights.get(name) is flight:
                    del self._flights[name]
            flight.landed.set()

    def _fresh(self, name: str, flight: _Flight) -> Record:
        entry, started = self.entries.get(name), self._clock()
        usable = entry is not None and started - entry.read_at <= self._max_stale
        try:
            record = self._fetch(name, not usable)
        except AWAY as error:
            if entry is None or not usable:
                raise
            return self._old(name, entry, error)
        except VaultError:
            self.drop(name)
            raise
        if entry is not None and entry.told_at is not None:
            _LOG.warning("vault answers again; %s is fresh", name)
        with self._lock:
            if self._flights.get(name) is flight:  # not dropped meanwhile by our own write
                self.entries[name] = Entry(record, started, started + FRESH_FOR)
        return record

    def _old(self, name: str, entry: Entry, error: VaultError) -> Record:
        now = self._clock()
        entry.fresh_until = now + PAUSE
        if entry.told_at is None or now - entry.told_at >= REMIND:
            entry.told_at = now
            age = now - entry.read_at
            _LOG.warning("serving %s as it was read %.0f s ago (at most %.0f): %s", name, age, self._max_stale, error)
            self._stale(name, age, error)
        return entry.record
