"""One look at the timetable, over simulated roles: what is due is rotated once, what is overdue told once a week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.rotation import NAME, World
from nasos.errors import DatabaseError
from nasos.ledger import Ledger, Outcome, named
from nasos.rotation.engine import Engine
from nasos.rotation.procedure import Procedure
from nasos.rotation.rotator import Fence
from nasos.settings import RotationSettings
from nasos.settings.schedule import Times
from nasos.stack.rotation.due import REMIND, Look, Looked

DAILY = RotationSettings(schedule={"*/*/*": Times(every="1d", window="any", jitter="0m", grace="1d")})


class Broken:
    """A procedure whose target is away."""

    name = "vault/target/x"

    def since(self) -> datetime | None:
        """Long ago."""
        return datetime(2020, 1, 1, tzinfo=UTC)

    def run(self, fence: Fence) -> list[str]:
        """It cannot be asked."""
        fence()
        raise DatabaseError("the server does not answer", "nasos status")


@pytest.fixture
def world() -> World:
    """Two simulated roles and their secret."""
    return World()


def look(world: World, home: Path, later: timedelta, **more: Procedure) -> Looked:
    """A look so much later, on record in a real ledger."""
    now = datetime.now(UTC) + later
    ledger = Ledger(home / "events.jsonl", "rotator")

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        ledger.append(event, target, outcome, detail, now=now)

    engine: Engine = replace(
        world.engine, tell=tell, now=lambda: now, procedures={each.name: each for each in more.values()}
    )
    return Look(engine, DAILY, ledger.path, "rotator", UTC).all()


def overdue(home: Path) -> list[str]:
    """Of what was told that it is overdue; the simulated secrets' versions have the real clock's time."""
    return [event.target for event in named(home / "events.jsonl", "rotation.overdue") if event.target != NAME]


def test_what_is_due_is_rotated_and_what_is_not_is_left_alone(world: World, tmp_path: Path) -> None:
    """A young secret stays; a day later it is another one, and the old one is refused."""
    before = world.current
    assert list(look(world, tmp_path, timedelta()).results) == []
    assert dict(world.current) == dict(before)
    [result] = look(world, tmp_path, timedelta(days=1, minutes=1)).results
    assert (result.unit, result.failure) == (NAME, "")
    assert dict(world.current) != dict(before)
    assert world.nothing_left()


def test_one_secrets_trouble_keeps_no_other_from_its_turn(world: World, tmp_path: Path) -> None:
    """A target that does not answer is an error of this look; its neighbour is rotated all the same."""
    done = look(world, tmp_path, timedelta(days=1, minutes=1), broken=Broken())
    assert [result.unit for result in done.results] == [NAME]
    assert [error.message for error in done.errors] == ["the server does not answer"]
    assert [line.name for line in done.overdue] == ["vault/target/x"]


def test_a_failed_try_is_not_repeated_at_each_look(world: World, tmp_path: Path) -> None:
    """The next look is minutes later; the next try is not."""
    for minutes in (0, 5, 10):
        look(world, tmp_path, timedelta(minutes=minutes), broken=Broken())
    tries = [event.target for event in named(tmp_path / "events.jsonl", "rotation.begin")]
    assert tries == ["vault/target/x"]


def test_overdue_is_told_when_it_becomes_so_and_again_each_week(world: World, tmp_path: Path) -> None:
    """Not at each look; the clock may jump back meanwhile."""
    look(world, tmp_path, timedelta(), broken=Broken())
    look(world, tmp_path, timedelta(minutes=5), broken=Broken())
    assert overdue(tmp_path) == ["vault/target/x"]
    look(world, tmp_path, REMIND - timedelta(hours=1), broken=Broken())
    assert overdue(tmp_path) == ["vault/target/x"]
    look(world, tmp_path, REMIND + timedelta(hours=1), broken=Broken())
    assert overdue(tmp_path) == ["vault/target/x"] * 2
