"""What follows from a step and its outcome: a pure table, no IO.

Rules:

* Before promotion the way back is to end the candidates; after it, to make current what was current, and see that
  the consumers work with that before the candidates are ended. No way leads past a state without a valid credential.
* A candidate that the target rejects is replaced by another one, as long as there are any left to try.
* A step whose target or consumers cannot be asked has no outcome: it stays the step, and is done again later.
"""

from __future__ import annotations

import enum
from typing import Final

from nasos.rotation.journal import Step

ALERT_AFTER: Final = 3
"""Rejected candidates after which somebody is told: it is not the candidates then."""
MOST_CANDIDATES: Final = 5
"""A rollback has one: the old version itself."""


class Said(enum.StrEnum):
    """How a step ended."""

    DONE = "done"
    REJECTED = "rejected"
    """The target does not want this candidate; another one may do."""
    CONFLICT = "conflict"
    """Somebody else wrote the secret meanwhile: theirs is current and is not overwritten."""
    BROKEN = "broken"
    """A consumer does not work with what is current, or did not take it up in time."""


class End(enum.StrEnum):
    """How a rotation ended."""

    ROTATED = "rotated"
    WITHDRAWN = "withdrawn"
    """Nothing changed for anybody."""
    ROLLED_BACK = "rolled back"


_NEXT: Final[dict[tuple[Step, Said], Step | End]] = {
    (Step.SET, Said.DONE): Step.TEST,
    (Step.TEST, Said.DONE): Step.PROMOTE,
    (Step.PROMOTE, Said.DONE): Step.DELIVER,
    # Some of several may be promoted already: restoring looks at each.
    (Step.PROMOTE, Said.CONFLICT): Step.RESTORE,
    (Step.DELIVER, Said.DONE): Step.RETIRE,
    (Step.DELIVER, Said.BROKEN): Step.RESTORE,
    (Step.RETIRE, Said.DONE): End.ROTATED,
    (Step.WITHDRAW, Said.DONE): End.WITHDRAWN,
    (Step.RESTORE, Said.DONE): Step.REDELIVER,
    (Step.REDELIVER, Said.DONE): Step.DISCARD,
    (Step.DISCARD, Said.DONE): End.ROLLED_BACK,
}


def following(step: Step, said: Said, left: int) -> Step | End:
    """The next step, or the end; ``left`` counts the candidates that may be tried, the present one included.

    Raises:
        ValueError: This step cannot end this way; the runner has a mistake.
    """
    if said is Said.REJECTED and step in {Step.SET, Step.TEST}:
        return Step.SET if left > 1 else Step.WITHDRAW
    try:
        return _NEXT[step, said]
    except KeyError:
        raise ValueError(f"{step} cannot end with {said}") from None
