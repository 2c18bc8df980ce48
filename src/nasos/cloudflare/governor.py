"""When the next request may go out; pure, with the time as an argument.

Rules: a token bucket below the published policy of 1200 requests in 300 s per user, which counts the dashboard and all
his other programs; what the answers say of it (``Ratelimit``, ``Ratelimit-Policy``) counts more than what we believe;
a hold that Cloudflare asked for (``Retry-After``) is kept whatever its length.
"""

from __future__ import annotations

import re
from typing import Final

QUOTA: Final = 1200
WINDOW: Final = 300.0
"""Seconds (developers.cloudflare.com/fundamentals/api/reference/limits)."""
SHARE: Final = 0.8
"""Of the quota; the rest is the dashboard's and other programs'."""
BURST: Final = 100
"""Requests that may go out at once after a pause."""

_PART: Final = re.compile(r"(?:^|[;,\s])(q|w|r|t)=(\d{1,9})(?=\s*(?:[;,]|$))")


class Governor:
    """Of all requests with one token."""

    __slots__ = ("_burst", "_held", "_rate", "_tokens", "_when")

    def __init__(self) -> None:
        self._burst, self._rate, self._tokens = 0.0, 0.0, 0.0
        self._when, self._held = float("-inf"), float("-inf")
        self._follow(QUOTA, WINDOW)
        self._tokens = self._burst

    def wait(self, now: float) -> float:
        """Seconds until a request may go out; 0 when one may go now."""
        self._refill(now)
        missing = max(0.0, 1.0 - self._tokens) / self._rate
        return max(0.0, self._held - now, missing)

    def spend(self, now: float) -> None:
        """A request goes out."""
        self._refill(now)
        self._tokens -= 1.0

    def hold(self, now: float, seconds: float) -> None:
        """Cloudflare asked for this much patience."""
        self._held = max(self._held, now + seconds)

    def heard(self, now: float, limit: str, policy: str) -> None:
        """``Ratelimit`` and ``Ratelimit-Policy`` of an answer, empty where there is none."""
        told = dict(_PART.findall(policy))
        if int(told.get("q", 0)) and int(told.get("w", 0)):
            self._follow(int(told["q"]), float(told["w"]))
        left = dict(_PART.findall(limit))
        if "r" not in left:
            return
        self._refill(now)
        self._tokens = min(self._tokens, float(left["r"]))
        if left["r"].strip("0") == "":
            self.hold(now, float(left.get("t", 1)))

    def _follow(self, quota: int, window: float) -> None:
        # In any window at most burst + rate * window = share * quota.
        self._burst = max(1.0, min(float(BURST), quota * SHARE / 4))
        self._rate = max(quota * SHARE - self._burst, 0.1) / window
        self._tokens = min(self._tokens, self._burst)

    def _refill(self, now: float) -> None:
        if self._when < now:
            passed = now - self._when if self._when > float("-inf") else 0.0
            self._tokens = min(self._burst, self._tokens + passed * self._rate)
            self._when = now
