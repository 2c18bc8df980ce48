"""What a check is: an identity that documents and waivers can refer to, and a function that judges.

Rules: a rule says what should hold, why it matters and how to mend it before it ever runs; its function returns
a verdict and never a bare bool. What it cannot tell it raises: the runner turns that into ``error``, never into green.
Two rules never judge the same fact, so that breaking one thing fails exactly one id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from nasos.checks.target import Target
from nasos.finding import Finding, Severity, State


@dataclass(frozen=True, slots=True)
class Passed:
    """It holds."""

    evidence: str


@dataclass(frozen=True, slots=True)
class Failed:
    """It does not hold."""

    evidence: str
    fix: str = ""
    """What to type; empty: the rule's own fix."""
    severity: Severity | None = None
    """How bad this one is; None: as bad as the rule says."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """It does not apply here, or not yet."""

    reason: str


Verdict: TypeAlias = Passed | Failed | Skipped
Judge: TypeAlias = Callable[[Target], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One check."""

    id: str
    """Stable dotted id, ``<group>.<what>``; its heading in docs/check.md has the same name."""
    title: str
    """What should hold, as one statement."""
    severity: Severity
    """How bad it is when it does not."""
    why: str
    """Why it matters to the operator."""
    fix: str
    """A command or an edit that mends the usual case."""
    judge: Judge
    needs: tuple[str, ...] = ()
    """Rules that must have passed; else this one is skipped and names them."""

    @property
    def docs(self) -> str:
        """Where docs/check.md explains it."""
        return f"docs/check.md#{self.id.replace('.', '')}"

    def finding(self, verdict: Verdict) -> Finding:
        """The verdict with the rule's identity."""
        match verdict:
            case Passed(evidence):
                return self._finding(State.PASS, evidence)
            case Skipped(reason):
                return self._finding(State.SKIP, reason)
            case Failed(evidence, fix, severity):
                return self._finding(State.FAIL, evidence, self.why, fix or self.fix, severity)

    def unknown(self, reason: str) -> Finding:
        """It could not be told."""
        return self._finding(State.ERROR, reason, self.why, self.fix)

    def _finding(
        self, state: State, evidence: str, why: str = "", fix: str = "", severity: Severity | None = None
    ) -> Finding:
        return Finding(
            id=self.id, title=self.title, severity=severity or self.severity, state=state, evidence=evidence, why=why,
            fix=fix,
        )  # fmt: skip


def rule(  # noqa: PLR0913  a rule's identity is its arguments, by name
    name: str, *, title: str, severity: Severity, why: str, fix: str, needs: tuple[str, ...] = ()
) -> Callable[[Judge], Rule]:
    """Make a rule of the decorated function."""

    def made(judge: Judge) -> Rule:
        return Rule(id=name, title=title, severity=severity, why=why, fix=fix, judge=judge, needs=needs)

    return made
