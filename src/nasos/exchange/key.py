"""An API key, what an exchange tells of it, and the words in which it refuses one.

Rules: "refused" is the exchange's own answer to a request that reached it and that it understood; anything less is an
`ExchangeError`. What an exchange does not tell is None or empty, and never taken for a good sign.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nasos.errors import UsageError
from nasos.secret import Secret

NAMES: Final = ("api_key", "apiKey", "key")
"""Fields that may hold the key, in the order in which freqtrade looks for them."""
OF_THE_KEY: Final = (*NAMES, "secret", "password", "private_key", "privateKey")
"""Fields that a new key replaces; what names the account stays."""
ENDING: Final = 4
"""Characters by which a person finds a key in the exchange's list."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What signs a request."""

    key: Secret
    secret: Secret
    passphrase: Secret | None = None

    @property
    def ending(self) -> str:
        """The last characters of the key, which exchanges list in the open."""
        return "…" + self.key.reveal()[-ENDING:]

    @property
    def pair(self) -> bool:
        """Whether it signs with a private key instead of a shared secret."""
        return "PRIVATE KEY" in self.secret.reveal()


class Right(enum.StrEnum):
    """What a key may do."""

    READ = "read"
    TRADE = "trade"
    FUTURES = "futures"
    TRANSFER = "transfer"
    """Between accounts of the same owner, which may be a step on the way out."""
    WITHDRAW = "withdraw"


MOVES_FUNDS: Final = frozenset({Right.WITHDRAW, Right.TRANSFER})
"""What a trading bot never needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an exchange told of a key that it accepted."""

    rights: frozenset[Right]
    bound: bool | None
    """Whether it works from listed addresses only; None: not told."""
    addresses: tuple[str, ...] = ()
    """Those, where they are told."""
    account: str = ""
    created: datetime | None = None
    expires: datetime | None = None
    label: str = ""
    idle_days: int | None = None
    """Days without use after which the exchange removes it."""
    skew: float = 0.0
    """Seconds by which the exchange's clock is ahead of ours, to about a second."""


class Why(enum.StrEnum):
    """Why an exchange refuses a key."""

    UNKNOWN = "it knows no such key"
    SECRET = "the secret does not belong to the key"  # noqa: S105  words, not a value
    PASSPHRASE = "the passphrase is wrong"  # noqa: S105  words, not a value
    ADDRESS = "the key may not be used from this address"
    EXPIRED = "the key has expired"
    RIGHTS = "the key has no right to ask"
    FROZEN = "the key or its account is blocked"
    ELSEWHERE = "the key belongs to another environment, such as demo trading"
    UNTOLD = "unknown key, or not from this address, or without this right"
    """One code for three reasons: some exchanges tell no more."""


GONE: Final = frozenset({Why.UNKNOWN, Why.EXPIRED})
"""Reasons that are enough to say that a key is dead, whoever asks from wherever."""
MAYBE_GONE: Final = frozenset({Why.UNTOLD})
"""Reasons that say so only together with the word of whoever deleted it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange does not accept the key."""

    why: Why
    code: str
    """Its own, for looking up."""

    def __str__(self) -> str:
        return f"{self.why} ({self.code})"


Answer = Facts | Refused


def key_of(fields: Mapping[str, Secret]) -> ApiKey:
    """The key in a record ``bots/<bot>/exchange``.

    Raises:
        UsageError: Key or secret is missing.
    """
    found = [fields[name] for name in NAMES if fields.get(name)]
    secret = fields.get("secret")
    if not found or not secret:
        missing = "api_key" if not found else "secret"
        raise UsageError(f"the exchange's record has no {missing}", "nasos rotate api")
    return ApiKey(found[0], secret, fields.get("password") or None)


def same(one: Mapping[str, Secret], other: Mapping[str, Secret]) -> bool:
    """Whether two records hold the same key, whatever else differs."""
    try:
        return key_of(one).key == key_of(other).key
    except UsageError:
        return False
