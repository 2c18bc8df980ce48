"""The security test: judgements about a stack, each with what was seen, why it matters and what to type.

==================  ==============================================================
``rule``            what a check is: identity, severity, why, fix, and a function
``target``          what a check may look at
``registry``        which checks there are, by group; loaded when asked for
``runner``          runs them side by side; nothing that could not be told is green
``report``          findings as text and as one JSON document
``vault`` ...       the checks themselves, one module per group
==================  ==============================================================
"""

from __future__ import annotations

from nasos.checks.registry import GROUPS, select
from nasos.checks.report import exit_code, summary, text
from nasos.checks.rule import Rule
from nasos.checks.runner import run
from nasos.checks.target import Front, Housekeeping, Origin, Ports, Process, Target, Watcher

__all__ = [
    "GROUPS",
    "Front",
    "Housekeeping",
    "Origin",
    "Ports",
    "Process",
    "Rule",
    "Target",
    "Watcher",
    "exit_code",
    "run",
    "select",
    "summary",
    "text",
]
