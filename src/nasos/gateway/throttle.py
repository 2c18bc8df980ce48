"""How long who has to wait after failed attempts: by address, and by account. No IO, no clock.

Rules:

* Two axes. An address that fails waits longer each time, up to a quarter of an hour, whatever account it tries. An
  account that is attacked from many addresses makes each of them wait, up to half a minute.
* Never a lock-out of the owner (authelia issue 4730). Whoever proves a living session or a known device waits for
  nobody's failures but that one's own. And the account's delay is counted from when *this* address first asked, not
  from the last failure of others: an owner at a new address who asks again half a minute later is always heard.
* An account that does not exist is treated as one that does (authelia issue 11972); names are kept as hashes.
* An attempt that came too early is not looked at and is no failure, so a client that repeats is not punished for it.
* Success takes back the failures of this address at this account only: an attacker with an account of his own cannot
  wipe his slate by logging in between two guesses.
* Memory is bounded: the entry that was touched the longest ago makes room. A flood that pushes a victim's entry out
  had to fail once per entry, each behind an address's own delay.
* Of an IPv6 address the first 64 bits count: the rest is the customer's to choose.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

FREE: Final = 3
"""Failures without a delay: a typing error or two cost nothing."""
ADDRESS_LONGEST: Final = 900.0
ACCOUNT_LONGEST: Final = 30.0
FORGET: Final = 3600.0
"""Seconds of quiet after which a failure counts no more."""
ROOM: Final = 16_384
"""Entries per table; 17 MB when all four are full."""


@dataclass(slots=True)
class _Failures:
    """The failures of one address, account or device."""

    count: int = 0
    last: float = 0.0

    def delay(self, longest: float, now: float) -> float:
        """1, 2, 4 ... seconds from the fourth failure on."""
        if self.count <= FREE or now - self.last >= FORGET:
            return 0.0
        return float(min(longest, 2 ** min(self.count - FREE - 1, 20)))

    def add(self, now: float) -> None:
        """One more."""
        self.count = self.count + 1 if now - self.last < FORGET else 1
        self.last = now


@dataclass(slots=True)
class _Pair:
    """One address at one account."""

    asked: float | None = None
    """When it was first told to wait for the account's sake; None: it was not, or has had its attempt since."""
    failures: int = 0


_Key = TypeVar("_Key")
_Entry = TypeVar("_Entry")


class _Table(Generic[_Key, _Entry]):
    """A bounded dictionary: what was touched the longest ago makes room."""

    def __init__(self, make: type[_Entry], room: int) -> None:
        self._make, self._room = make, room
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    def get(self, key: _Key) -> _Entry | None:
        """The entry, if there is one."""
        return self._entries.get(key)

    def touch(self, key: _Key) -> _Entry:
        """The entry, made if it is missing."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = self._make()
            if len(self._entries) > self._room:
                self._entries.popitem(last=False)
        else:
            self._entries.move_to_end(key)
        return entry

    def drop(self, key: _Key) -> _Entry | None:
        """Take it out."""
        return self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class Throttle:
    """The failures of the recent past, in bounded memory.

    ``now`` is in seconds of a clock that only goes forward (`time.monotonic`). ``known`` names the living session or
    known device *of this account* that the client proved to have (never a claim, never another account's): it waits
    for its own failures alone.

    Every path on which a credential can be tried asks `wait`; when that is 0 it tells `failed` *before* it looks at the
    credential, so that a hundred guesses at the same time are a hundred failures, and `succeeded` if it was right.
    """

    def __init__(self, *, room: int = ROOM) -> None:
        self._addresses: _Table[str, _Failures] = _Table(_Failures, room)
        self._accounts: _Table[bytes, _Failures] = _Table(_Failures, room)
        self._known: _Table[str, _Failures] = _Table(_Failures, room)
        self._pairs: _Table[tuple[str, bytes], _Pair] = _Table(_Pair, room)

    def __len__(self) -> int:
        return len(self._addresses) + len(self._accounts) + len(self._known) + len(self._pairs)

    def wait(self, address: str, account: str, now: float, known: str | None = None) -> float:
        """Seconds until this attempt would be looked at; 0: now. An attempt that came too early is no failure."""
        if known is not None:
            return _left(self._known.get(known), ADDRESS_LONGEST, now)
        place, name = _network(address), _name(account)
        attacked = self._accounts.get(name)
        delay = attacked.delay(ACCOUNT_LONGEST, now) if attacked else 0.0
        own = _left(self._addresses.get(place), ADDRESS_LONGEST, now)
        if not delay:
            return own
        pair = self._pairs.touch((place, name))
        if pair.asked is None or now - pair.asked >= FORGET:
            pair.asked = now
        return max(own, pair.asked + delay - now, 0.0)

    def failed(self, address: str, account: str, now: float, known: str | None = None) -> None:
        """A wrong credential, for an account that exists or one that does not."""
        if known is not None:
            self._known.touch(known).add(now)
            return
        place, name = _network(address), _name(account)
        self._addresses.touch(place).add(now)
        self._accounts.touch(name).add(now)
        pair = self._pairs.touch((place, name))
        pair.failures, pair.asked = pair.failures + 1, None

    def succeeded(self, address: str, account: str, now: float, known: str | None = None) -> None:
        """A right one: this address's failures at this account are taken back, and no others."""
        if known is not None:
            self._known.drop(known)
            return
        place, name = _network(address), _name(account)
        pair = self._pairs.drop((place, name))
        for entry in (self._addresses.get(place), self._accounts.get(name)):
            if entry is not None and pair is not None:
                entry.count = max(0, entry.count - pair.failures)


def _left(entry: _Failures | None, longest: float, now: float) -> float:
    """What is left of the delay since its last failure."""
    return max(0.0, entry.last + entry.delay(longest, now) - now) if entry else 0.0


def _network(address: str) -> str:
    """What counts as one address; what is none is one of its own kind, and so throttled together."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "?"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def _name(account: str) -> bytes:
    """A name of any length as sixteen bytes; upper case and white space around it make no other account."""
    return hashlib.blake2b(account.strip().casefold().encode("utf-8", "replace"), digest_size=16).digest()
