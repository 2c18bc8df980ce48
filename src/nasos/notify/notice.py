"""What a person is told."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

import msgspec

MOST: Final = 20
"""Alerts in one message; a phone shows no more, and the ledger has them all."""


class Urgency(enum.StrEnum):
    """How it is shown, in apprise's words."""

    INFO = "info"
    WARNING = "warning"
    FAILURE = "failure"


class Notice(msgspec.Struct, frozen=True):
    """One alert; holds no secret."""

    key: str
    """Two notices with the same key say the same thing."""
    title: str
    body: str
    urgency: Urgency = Urgency.WARNING


def digest(notices: Sequence[Notice]) -> Notice:
    """One message for all that is to be said at once."""
    if len(notices) == 1:
        return notices[0]
    shown = "\n\n".join(f"{notice.title}\n{notice.body}" for notice in notices[:MOST])
    more = f'\n\nand {len(notices) - MOST} more: "nasos ledger show"' if len(notices) > MOST else ""
    urgency = max((notice.urgency for notice in notices), key=list(Urgency).index)
    return Notice("", f"{len(notices)} alerts: {notices[0].title} ...", shown + more, urgency)
