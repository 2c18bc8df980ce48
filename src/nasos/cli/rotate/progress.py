"""What a rotation does at this moment, on standard error: for the person who waits.

Rules: each step is said as it begins; the answer on standard output is the same with and without. By itself only where
standard error is a terminal; ``--progress`` asks for it elsewhere, too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from nasos.cli import output
from nasos.ledger import Outcome

if TYPE_CHECKING:
    from nasos.rotation.run import Tell

WORDS: Final = {
    "set": "a new value is made and given to its target",
    "test": "the new one is used",
    "promote": "the new one is made current in Vault",
    "deliver": "waiting for those who use it",
    "retire": "the old one is ended, and tried",
    "withdraw": "given up: the new one is ended",
    "restore": "given up: the old one is made current again",
    "redeliver": "waiting for those who use it, with the old one",
    "discard": "the new one is ended, and tried",
}
"""Step -> what it is, for a person."""


def narrating(tell: Tell, *, asked: bool = False) -> Tell:
    """``tell``, which also says what comes next."""
    if not asked and not sys.stderr.isatty():
        return tell

    def told(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        tell(event, target, outcome, detail)
        step = _next(event, outcome, detail)
        if step:
            output.note(f"  {target}: {WORDS[step]} ...")

    return told


def _next(event: str, outcome: Outcome, detail: Mapping[str, str]) -> str | None:
    """The step that begins now; None when none does, or when that is not known yet."""
    if event == "rotation.begin":
        return "set"
    if event != "rotation.step" or detail.get("step") not in WORDS:
        return None
    from nasos.rotation.journal import Step
    from nasos.rotation.transition import End, Said, following

    if outcome is Outcome.OK:
        after = following(Step(detail["step"]), Said.DONE, 1)
        return None if isinstance(after, End) else after.value
    # Refused: the new one is replaced, or given up; an old one is brought back only once it is current.
    return {"set": "set", "test": "set", "promote": "restore", "deliver": "restore"}.get(detail["step"])
