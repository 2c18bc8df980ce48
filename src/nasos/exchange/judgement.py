"""Whether a key may be taken into use. No IO.

Rules: what can take money out is refused unless the operator allowed it by name; a key of another account, or one that
cannot trade, is refused; what is merely unwise is a warning. What the exchange does not tell is a warning, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nasos.exchange.key import MOVES_FUNDS, Facts, Right

SOON: Final = timedelta(days=30)
SKEW: Final = 2.0
"""Seconds of difference that are worth a word; exchanges refuse at five to thirty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator asks of a key."""

    bound: bool = False
    """It has to be bound to addresses."""
    futures: bool = False
    """The bot trades futures."""
    moves_funds: bool = False
    """It may withdraw and transfer: allowed by name."""
    other_account: bool = False
    """It may belong to another account than the one before: allowed by name."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What speaks against a key, and what is worth knowing."""

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    """What would have been refused and was allowed by name."""


def judge(facts: Facts, terms: Terms, before: Facts | None, now: datetime) -> Judgement:
    """A new key, by what the exchange told of it and of the one before."""
    found = [*_rights(facts, terms), *_owner(facts, before, terms), *_place(facts, terms), *_time(facts, now)]
    by_kind = {kind: tuple(text for its, text in found if its == kind) for kind in ("refusal", "warning", "allowed")}
    return Judgement(by_kind["refusal"], by_kind["warning"], by_kind["allowed"])


_Said = tuple[str, str]


def _rights(facts: Facts, terms: Terms) -> Iterator[_Said]:
    moving = sorted(facts.rights & MOVES_FUNDS)
    if moving:
        kind = "allowed" if terms.moves_funds else "refusal"
        yield kind, f"it may {' and '.join(moving)}; a bot needs to trade only"
    needed = Right.FUTURES if terms.futures else Right.TRADE
    if needed not in facts.rights:
        yield "refusal", f"it may not {'trade futures' if terms.futures else 'trade'}"
    if Right.READ not in facts.rights:
        yield "refusal", "it may not read balances"
    if Right.FUTURES in facts.rights and not terms.futures:
        yield "warning", "it may trade futures, which this bot does not"


def _owner(facts: Facts, before: Facts | None, terms: Terms) -> Iterator[_Said]:
    if before is None or not before.account or not facts.account:
        yield "warning", "whether it belongs to the same account as the one before could not be told"
    elif before.account != facts.account:
        kind = "allowed" if terms.other_account else "refusal"
        yield kind, "it belongs to another account than the one before"


def _place(facts: Facts, terms: Terms) -> Iterator[_Said]:
    if facts.bound:
        return
    text = "it works from everywhere" if facts.bound is False else "whether it is bound to addresses is not told"
    yield ("refusal" if terms.bound else "warning"), f"{text}: bind it to this machine's address at the exchange"


def _time(facts: Facts, now: datetime) -> Iterator[_Said]:
    if facts.expires and facts.expires <= now:
        yield "refusal", f"it ended on {facts.expires:%Y-%m-%d}"
    elif facts.expires and facts.expires - now < SOON:
        yield "warning", f"it ends on {facts.expires:%Y-%m-%d}, in {(facts.expires - now).days} days"
    if facts.idle_days:
        yield "warning", f"the exchange removes it after {facts.idle_days} days without use"
    if abs(facts.skew) > SKEW:
        yield "warning", f"the clocks differ by about {abs(facts.skew):.0f} s"
