"""What is replaced, and is no record in Vault: SecretIDs, Vault's own keys.

Rules: a procedure brings its own crash safety: killed anywhere it leaves something that works; running it again goes
on. There is no way back to an old one, so there is no journal either; begin and end are events like a rotation's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from nasos.errors import Error as NasosError
from nasos.ledger import Outcome
from nasos.rotation.rotator import Fence
from nasos.rotation.run import Result, Tell
from nasos.rotation.transition import End


class Procedure(Protocol):
    """One of them."""

    @property
    def name(self) -> str:
        """``credentials/<role>``, ``vault/keyring``: as ``nasos rotate now`` takes it."""

    def since(self) -> datetime | None:
        """Since when what it replaces has been there; None where that cannot be told.

        Raises:
            Error: It cannot be asked.
        """

    def run(self, fence: Fence) -> Sequence[str]:
        """Replace it; return what was proven. May be called again after a crash anywhere inside it.

        Raises:
            Error: It could not be done, or not be proven; something that works is there.
        """


@dataclass(frozen=True, slots=True)
class Conduct:
    """Runs a procedure, and tells."""

    fence: Fence
    tell: Tell
    now: Callable[[], datetime]

    def run(self, procedure: Procedure, *, actor: str, reason: str) -> Result:
        """Replace it.

        Raises:
            Error: As `Procedure.run`.
        """
        mark, begun = secrets.token_hex(6), time.monotonic()
        self.fence()
        self.tell("rotation.begin", procedure.name, Outcome.OK, {"rotation": mark, "reason": reason, "by": actor})
        try:
            proofs = tuple(procedure.run(self.fence))
        except NasosError as error:
            self.tell("rotation.end", procedure.name, Outcome.FAILED, {"rotation": mark, "error": error.message})
            raise
        seconds = time.monotonic() - begun
        self.tell(
            "rotation.end", procedure.name, Outcome.OK,
            {"rotation": mark, "end": End.ROTATED.value, "proofs": "; ".join(proofs), "seconds": f"{seconds:.3f}"},
        )  # fmt: skip
        return Result(procedure.name, End.ROTATED, "", proofs, seconds)
