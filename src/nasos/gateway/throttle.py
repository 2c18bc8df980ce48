"""How long who has to wait after failed attempts: by address, and by account."""

from __future__ import annotations


class Throttle:
    """The failures of the recent past, in bounded memory.

    ``now`` is in seconds of a clock that only goes forward (`time.monotonic`). ``known`` is what a client proved that
    has a living session or a known device (its name; never a claim): it waits for its own failures alone.
    Every path on which a credential can be tried asks `wait` first, and tells `failed` or `succeeded` after.
    """

    def wait(self, address: str, account: str, now: float, known: str | None = None) -> float:
        """Seconds until this attempt would be looked at; 0: now. An attempt that came too early is no failure."""
        raise NotImplementedError

    def failed(self, address: str, account: str, now: float, known: str | None = None) -> None:
        """A wrong credential, for an account that exists or one that does not."""
        raise NotImplementedError

    def succeeded(self, address: str, account: str, now: float, known: str | None = None) -> None:
        """A right one: this address's failures at this account are taken back, and no others."""
        raise NotImplementedError
