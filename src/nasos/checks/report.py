"""Findings for people, and the exit code.

Rules: one line per finding, a block for what needs something done; the summary never calls a skipped check passed.
Exit codes: 0 clean, 1 findings, 3 could not tell (also when nothing at all could be judged).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from nasos.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS
from nasos.finding import Finding, State

SYMBOLS: Final = {State.PASS: "✓", State.FAIL: "✗", State.SKIP: "-", State.ERROR: "?", State.WAIVED: "~"}

Paint = Callable[[State, str], str]
"""Colours a text by state; returns it unchanged where nobody sees colours."""


def exit_code(findings: Sequence[Finding]) -> int:
    """What the findings mean for whoever called."""
    states = {finding.state for finding in findings}
    if State.FAIL in states:
        return EXIT_FINDINGS
    return EXIT_CLEAN if State.PASS in states and State.ERROR not in states else EXIT_FAILED


def summary(findings: Sequence[Finding]) -> dict[str, int]:
    """How many findings are in each state."""
    counted = Counter(finding.state for finding in findings)
    return {str(state): counted[state] for state in State}


def text(findings: Sequence[Finding], paint: Paint = lambda _, shown: shown) -> Iterator[str]:
    """The report, line by line."""
    width = max((len(finding.id) for finding in findings), default=0)
    for finding in findings:
        symbol = paint(finding.state, SYMBOLS[finding.state])
        told = f"skipped: {finding.evidence}" if finding.state is State.SKIP else finding.title
        yield f"{symbol} {finding.id:<{width}}  {told}"
        if finding.bad:
            yield from _block(finding, paint)
    yield ""
    yield _summary_line(findings, paint)


def _block(finding: Finding, paint: Paint) -> Iterator[str]:
    first = "seen" if finding.state is State.FAIL else "could not tell"
    yield paint(finding.state, f"    {first}: ") + f"{finding.evidence} ({finding.severity})"
    yield f"    why:  {finding.why}"
    yield f"    fix:  {finding.fix}"


def _summary_line(findings: Sequence[Finding], paint: Paint) -> str:
    counts = summary(findings)
    words = {State.PASS: "passed", State.FAIL: "failed", State.ERROR: "could not be told", State.SKIP: "skipped",
             State.WAIVED: "waived"}  # fmt: skip
    return ", ".join(paint(state, f"{counts[state]} {word}") for state, word in words.items() if counts[state])
