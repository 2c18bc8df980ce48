"""What was rotated, from the events of the ledger: who, when, why, how long, which proofs, how it ended. Pure.

Rules: begin and end belong together by their id. An end that is missing is said: the newest rotation of a unit may be
open still, an older one cannot be, because none begins before the last one of its unit is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from nasos.ledger import Event

BEGIN: Final = "rotation.begin"
END: Final = "rotation.end"
OPEN: Final = "open"
UNKNOWN: Final = "unknown"
FAILED: Final = "failed"


class Past(msgspec.Struct, kw_only=True):
    """One rotation."""

    id: str
    name: str
    began: str | None = None
    """None: its begin is not in the ledger (that of another machine, or cut off)."""
    ended: str | None = None
    by: str = ""
    reason: str = ""
    host: str = ""
    outcome: str = OPEN
    """``rotated``, ``withdrawn``, ``rolled back``, ``failed``; ``open``; ``unknown``: its end is not in the ledger."""
    seconds: float | None = None
    """Of the run that ended it."""
    steps: tuple[str, ...] = ()
    """As they were done, also twice."""
    proofs: tuple[str, ...] = ()
    why: str = ""
    """Why it did not rotate."""


def history(events: Iterable[Event]) -> list[Past]:
    """All rotations, oldest first."""
    found: dict[str, Past] = {}
    newest: dict[str, Past] = {}
    for event in events:
        number = event.detail.get("rotation")
        if number is None:
            continue
        past = found.setdefault(number, Past(id=number, name=event.target, host=event.host))
        _add(past, event)
        if event.event == BEGIN:
            before = newest.get(event.target)
            if before is not None and before.outcome == OPEN:
                before.outcome = UNKNOWN
            newest[event.target] = past
    return list(found.values())


def _add(past: Past, event: Event) -> None:
    detail = event.detail
    if event.event == BEGIN:
        past.began, past.by, past.reason = event.time, detail.get("by", ""), detail.get("reason", "")
    elif event.event == "rotation.step":
        past.steps += (detail.get("step", ""),)
    elif event.event == END:
        past.ended, past.outcome = event.time, detail.get("end", FAILED)
        past.seconds, past.why = _number(detail.get("seconds", "")), detail.get("why", detail.get("error", ""))
        past.proofs = tuple(filter(None, detail.get("proofs", "").split("; ")))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
