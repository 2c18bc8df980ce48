"""What the commands of ``nasos rotate`` share: the stack, its Vault as the role ``rotator``, and how results look.

Rules: every step is an event in the ledger and a line in ``log/rotate.log``, neither of which holds a value; a rotation
that was taken back needs somebody's attention, and is exit code 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nasos.cli import output
from nasos.cli.rotate.progress import narrating
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS
from nasos.settings import Settings

if TYPE_CHECKING:
    from nasos.rotation.engine import Engine
    from nasos.rotation.run import Result, Tell
    from nasos.stack.embedded import Stack
    from nasos.vault import VaultClient

WAIT: Final = 30.0
"""Seconds to wait for another rotator."""


@dataclass(frozen=True, slots=True)
class Rotating:
    """What a command of ``nasos rotate`` works with."""

    stack: Stack
    vault: VaultClient
    engine: Engine
    tell: Tell


@contextmanager
def rotating(settings: Settings, *, progress: bool = False) -> Iterator[Rotating]:
    """The stack, its Vault as the role ``rotator``, and the engine that tells ledger and log, and whoever waits.

    Raises:
        Error: There is no stack, or Vault refuses its role.
    """
    from nasos.stack.embedded import Stack
    from nasos.stack.rotation import engine
    from nasos.stack.rotation.record import recorder

    stack = Stack.existing(settings)
    tell = narrating(recorder(stack.home), asked=progress)
    with stack.vault("rotator") as vault:
        yield Rotating(stack, vault, engine(stack, vault, tell, wait=WAIT), tell)


def ended(result: Result) -> int:
    """Say how a rotation ended; return the exit code."""
    if not result.failure:
        output.say(f"✓ {result.unit} rotated in {result.seconds:.1f} s: {'; '.join(result.proofs)}")
        return EXIT_CLEAN
    output.say(f"✗ {result.unit} {result.end}: {result.failure}")
    return EXIT_FINDINGS
