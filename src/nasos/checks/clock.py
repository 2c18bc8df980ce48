"""Whether this machine's clock can be believed (group ``host``), without asking anybody on the internet.

Rules: what is judged is what the machine itself has seen: a jump that housekeeping measured against the time since
boot, and events that are dated after now. A clock that was wrong all along looks like a right one from here; the
exchange tells, when a key is asked about (``nasos rotate keys``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.errors import LedgerError
from nasos.finding import Severity
from nasos.ledger import named

LATER: Final = timedelta(minutes=5)
"""By so much an event may be dated after now: what housekeeping takes for a jump."""


@rule(
    "host.clock",
    title="The clock did not jump within a day, and is not behind the record",
    severity=Severity.MEDIUM,
    why="with a wrong clock good certificates are refused, exchanges refuse orders, and the record's dates are wrong",
    fix="timedatectl set-ntp true",
)
def clock(target: Target) -> Verdict:
    """By housekeeping's rounds and the ledger's newest event."""
    if target.ports is None:
        return Skipped("there is no stack here")
    flaws = list(_flaws(target))
    if flaws:
        return Failed("; ".join(flaws))
    if target.housekeeping is None:
        return Skipped("housekeeping, which watches the clock, never finished a round")
    return Passed("no jump within a day that housekeeping saw")


def _flaws(target: Target) -> Iterator[str]:
    jump = target.housekeeping.clock_jump if target.housekeeping else 0.0
    if jump:
        yield f"it jumped {'forward' if jump > 0 else 'back'} by {abs(jump):.0f} s within the last day"
    newest = _newest(target)
    if newest is not None and newest - target.now > LATER:
        yield f"the newest event is dated {newest:%Y-%m-%d %H:%M} UTC, which is in the future"


def _newest(target: Target) -> datetime | None:
    with suppress(LedgerError):  # host.ledger says it
        events = named(target.home / "ledger" / "events.jsonl", "", recent=True)
        return datetime.fromisoformat(events[-1].time) if events else None
    return None


RULES: Final = (clock,)
