"""The parameters of a request, as Binance checks them.

Rules: every parameter is text until it is asked for as something; what cannot be that something is refused with
Binance's own code and words.

Source: Binance spot API documentation, "Errors".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nasos.errors import UsageError
from nasos.stack.demo_exchange.market import MARKET, Pair

INTERVALS: Final = dict(
    zip(
        ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"),
        (1, 3, 5, 15, 30, 60, 120, 240, 360, 480, 720, 1440),
        strict=True,
    )
)
"""Candle lengths on offer, in minutes."""
_PAGE: Final = 1000


class Refused(UsageError):
    """A request that Binance would refuse, with the code and HTTP status it would use."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True)
class Query:
    """What stood behind the question mark; every method raises Refused."""

    values: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def pair(self) -> Pair:
        """The pair called ``symbol``."""
        return _listed(self._mandatory("symbol"))

    def pairs(self) -> list[Pair]:
        """The pairs called ``symbol`` or ``symbols``, or all."""
        if "symbol" in self:
            return [self.pair()]
        if "symbols" not in self:
            return list(MARKET.values())
        try:
            names = json.loads(self.values["symbols"])
        except (ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise Refused(-1100, "Illegal characters found in parameter 'symbols'.")
        return [_listed(name) for name in dict.fromkeys(names)]

    def minutes(self) -> int:
        """The length of a candle called ``interval``."""
        minutes = INTERVALS.get(self._mandatory("interval"))
        if minutes is None:
            raise Refused(-1120, "Invalid interval.")
        return minutes

    def limit(self, default: int) -> int:
        """How many rows, at most 1,000."""
        limit = self.integer("limit") if "limit" in self else default
        if limit < 1:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(limit, _PAGE)

    def second(self, name: str, default: float) -> float:
        """A time, which is sent in milliseconds, in seconds."""
        return self.integer(name) / 1000 if name in self else default

    def integer(self, name: str) -> int:
        """A parameter of digits only."""
        text = self._mandatory(name)
        if not re.fullmatch(r"[0-9]{1,20}", text, re.ASCII):
            raise Refused(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
        return int(text)

    def _mandatory(self, name: str) -> str:
        if not self.values.get(name):
            raise Refused(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return self.values[name]


def _listed(symbol: str) -> Pair:
    pair = MARKET.get(symbol)
    if pair is None:
        raise Refused(-1121, "Invalid symbol.")
    return pair


__all__ = ["INTERVALS", "Query", "Refused"]
