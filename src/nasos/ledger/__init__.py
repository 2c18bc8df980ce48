"""Security events, hash-chained JSON lines: who, what, when, where, outcome.

``event``      one event, its line, its place in the chain
``append``     `Ledger`: durable, one chain for any number of processes
``files``      closed parts and the one that grows; rotation
``memory``     the end, remembered beside the ledger
``chain``      unbroken or not; ``diagnosis``: what was done to it
``read``       all events, or a judgement
"""

from __future__ import annotations

from nasos.ledger.append import Ledger
from nasos.ledger.chain import Examination
from nasos.ledger.damage import Damage, Kind, Remembered
from nasos.ledger.event import ACCEPTED, DAMAGED, GENESIS, START, Event, Head, Outcome
from nasos.ledger.read import named, read, verify

__all__ = [
    "ACCEPTED",
    "DAMAGED",
    "GENESIS",
    "START",
    "Damage",
    "Event",
    "Examination",
    "Head",
    "Kind",
    "Ledger",
    "Outcome",
    "Remembered",
    "named",
    "read",
    "verify",
]
