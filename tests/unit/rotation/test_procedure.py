"""What is no record rotates under the same lease, with the same events, and has no way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from fixtures.rotation import World
from nasos.errors import AlreadyRunning, RotationError, UsageError
from nasos.ledger import Outcome
from nasos.rotation import lease
from nasos.rotation.engine import Engine
from nasos.rotation.rotator import Fence
from nasos.rotation.transition import End

NAME = "vault/something"


@dataclass
class Something:
    """A `Procedure` that counts."""

    name: str = NAME
    error: RotationError | None = None
    runs: int = 0
    world: World = field(default_factory=World)

    def since(self) -> datetime | None:
        """See `Procedure.since`."""
        return datetime.now(UTC)

    def run(self, fence: Fence) -> Sequence[str]:
        """See `Procedure.run`."""
        fence()
        with pytest.raises(AlreadyRunning), lease.hold(self.world.store, 0.0):
            pytest.fail("two at once")
        self.runs += 1
        if self.error:
            raise self.error
        return ["the new one works", "the old one is dead"]


def engine(something: Something) -> Engine:
    """The simulated world's engine with one procedure."""
    return replace(something.world.engine, procedures={NAME: something})


def test_it_runs_under_the_lease_and_is_told() -> None:
    """Begin with who and why, end with the proofs; another rotator stays out meanwhile."""
    something = Something()
    result = engine(something).rotate(NAME, actor="tester", reason="why not")
    assert (result.end, result.failure, something.runs) == (End.ROTATED, "", 1)
    begin, end = something.world.told
    assert begin[:2] == ("rotation.begin", Outcome.OK)
    assert (begin[2]["by"], begin[2]["reason"]) == ("tester", "why not")
    assert end[:2] == ("rotation.end", Outcome.OK)
    assert end[2]["proofs"] == "the new one works; the old one is dead"
    assert end[2]["rotation"] == begin[2]["rotation"]


def test_a_failure_is_told_and_raised() -> None:
    """It can be run again; the lease is free."""
    something = Something(error=RotationError("the old one still works"))
    with pytest.raises(RotationError):
        engine(something).rotate(NAME, actor="tester", reason="x")
    assert something.world.told[-1][:2] == ("rotation.end", Outcome.FAILED)
    something.error = None
    assert engine(something).rotate(NAME, actor="tester", reason="x").end is End.ROTATED


def test_there_is_no_way_back() -> None:
    """Old versions of it are nowhere, and that is said."""
    with pytest.raises(UsageError, match="can only be rotated"):
        engine(Something()).rollback(NAME, {}, actor="tester", reason="x")
