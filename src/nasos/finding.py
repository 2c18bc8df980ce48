"""A judgement: id, severity, evidence, why it matters, and the command that mends it.

One type for checks (is it well?) and detections (did something happen?). Could-not-tell is never green:
``error`` counts against the exit code, ``skip`` always carries its reason. Evidence never holds a secret.
"""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

_ID: Final = re.compile(r"[a-z]+(?:\.[a-z0-9-]+)+")


class Severity(enum.StrEnum):
    """How bad a failing finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class State(enum.StrEnum):
    """What could be told."""

    PASS = "pass"  # noqa: S105  the word, not a password
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"
    WAIVED = "waived"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement."""

    id: str
    """Stable dotted id, ``vault.sealed``."""
    title: str
    """One line, as a statement of what should hold."""
    severity: Severity
    """How bad it is when it does not hold."""
    state: State
    """What could be told."""
    evidence: str = ""
    """What was seen; for ``skip`` and ``error`` the reason. Never a secret."""
    why: str = ""
    """Why it matters to the operator."""
    fix: str = ""
    """A command or an edit that can be typed."""

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"finding id {self.id!r} is not a dotted name")
        if self.state in (State.SKIP, State.ERROR, State.WAIVED) and not self.evidence:
            raise ValueError(f"finding {self.id}: {self.state} needs its reason in evidence")
        if self.state is State.FAIL and not (self.why and self.fix):
            raise ValueError(f"finding {self.id}: a failure needs why and fix")

    @property
    def bad(self) -> bool:
        """Whether this finding must not be read as green."""
        return self.state in (State.FAIL, State.ERROR)
