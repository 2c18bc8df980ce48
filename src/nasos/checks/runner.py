"""Run rules side by side, each with its own time limit.

Rules: no rules is an error, not a clean bill; an exception or a rule that does not answer becomes ``error``; a rule
whose need did not pass is skipped and says which. Findings come back in the order of the rules.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from nasos.checks.rule import Rule, Skipped
from nasos.checks.target import Target
from nasos.errors import Error
from nasos.finding import Finding, State
from nasos.secret import Redactor

SECONDS: Final = 10.0
"""How long one rule may take; all of them together take under 2 s on a healthy stack."""

_Answers = queue.SimpleQueue[tuple[str, Finding]]


def run(rules: Sequence[Rule], target: Target, seconds: float = SECONDS) -> list[Finding]:
    """Judge the target by every rule.

    Raises:
        Error: There are no rules: nothing was checked, and that is not "nothing found".
    """
    if not rules:
        raise Error("there is nothing to check: no rule is selected", "nasos check --list")
    findings: dict[str, Finding] = {}
    waiting, deadlines = {rule.id: rule for rule in rules}, dict[str, float]()
    answers: _Answers = queue.SimpleQueue()
    while len(findings) < len(rules):
        for rule in [each for each in waiting.values() if _ready(each, findings, waiting, deadlines)]:
            del waiting[rule.id]
            if blocked := _blocked(rule, findings):
                findings[rule.id] = blocked
            else:
                deadlines[rule.id] = time.monotonic() + seconds
                # A daemon: a rule that hangs must not keep the process.
                threading.Thread(target=_judge, args=(rule, target, answers), name=rule.id, daemon=True).start()
        _collect(rules, findings, deadlines, answers, seconds)
    return [findings[rule.id] for rule in rules]


def _ready(
    rule: Rule, findings: Mapping[str, Finding], waiting: Mapping[str, Rule], running: Mapping[str, float]
) -> bool:
    """Whether nothing that this rule needs is still open (a need outside the selection does not count)."""
    return all(need in findings or (need not in waiting and need not in running) for need in rule.needs)


def _blocked(rule: Rule, findings: Mapping[str, Finding]) -> Finding | None:
    for need in rule.needs:
        if need in findings and findings[need].state is not State.PASS:
            return rule.finding(Skipped(f"depends on {need}, which did not pass"))
    return None


def _judge(rule: Rule, target: Target, answers: _Answers) -> None:
    try:
        finding = rule.finding(rule.judge(target))
    except Error as error:
        finding = rule.unknown(error.message)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        finding = rule.unknown(f"cannot look: {(error.strerror or type(error).__name__).lower()}{where}")
    except Exception as error:  # noqa: BLE001  whatever went wrong, this check could not tell
        finding = rule.unknown(f"the check itself failed: {Redactor().redact(f'{type(error).__name__}: {error}')}")
    answers.put((rule.id, finding))


def _collect(
    rules: Sequence[Rule],
    findings: dict[str, Finding],
    deadlines: dict[str, float],
    answers: _Answers,
    seconds: float,
) -> None:
    """Take the next answer, or give up on what is overdue."""
    if not deadlines:
        return
    try:
        name, finding = answers.get(timeout=max(0.0, min(deadlines.values()) - time.monotonic()))
        if name in deadlines:  # else it answered after it was given up
            del deadlines[name]
            findings[name] = finding
    except queue.Empty:
        by_id = {rule.id: rule for rule in rules}
        for name in [each for each, end in deadlines.items() if end <= time.monotonic()]:
            del deadlines[name]
            findings[name] = by_id[name].unknown(f"no answer within {seconds:g} s")
