"""Which role may send which request to freqtrade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or a machine may do; each role may do all that the one before it may."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do all that ``other`` may."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request."""

    allowed: bool
    reason: str
    """For the log: the rule that said so; never a part of the request that could hold a secret."""
    endpoint: str | None = None
    """The endpoint as freqtrade names it (``/api/v1/trades/{tradeid}``); None for an unknown one."""

    def __bool__(self) -> bool:
        return self.allowed


def decide(role: Role, method: str, target: str, headers: Iterable[str] = ()) -> Decision:
    """Whether ``role`` may send this request; what is unknown or oddly written is denied.

    ``target`` is what the client sent (nginx's ``$request_uri``), not decoded and not normalised; a query may follow.
    ``headers``: the names of the request's headers, of which those that change the method or the path are refused.
    """
    raise NotImplementedError
