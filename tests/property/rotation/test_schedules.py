"""Ten thousand bad days in simulation: the rotator ended, refused, or left without an answer at any side effect.

After each effect, and after everything, the checker looks with the eyes of a consumer: what it would read logs in.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.rotation import NAME, World
from nasos.rotation.engine import Engine
from nasos.rotation.rotator import Sight
from simulators.roles import Faults, ScriptedConsumer

FAULTS = ("kill before", "kill after", "refuse", "lose answer")
EFFECTS = 40
"""More side effects than a rotation with its recovery has."""


def survive(schedule: dict[int, str], script: list[Sight], *, rejects: int = 0, leaked: bool = False) -> World:
    """Rotate under this schedule, again and again until nothing is open; the checker watches every effect."""
    faults = Faults(schedule)
    world = World(faults=faults, consumers=[ScriptedConsumer(script)], overlap=0.0)
    world.server.rejects = rejects
    at_most_one, first = True, world.current

    def check() -> None:
        nonlocal at_most_one
        assert world.reader_logs_in(), f"a consumer could not log in after effect {faults.count}: {schedule}"
        at_most_one &= world.open <= 1

    faults.watch = check
    world.process(lambda engine: engine.rotate(NAME, actor="tester", reason="schedule", leaked=leaked))
    for _ in range(2 * EFFECTS):
        if not world.open:
            break
        check()
        world.process(Engine.resume)
    check()
    assert at_most_one
    assert world.nothing_left(), f"left over: {schedule}, {world.server.passwords.keys()}"
    if leaked and dict(world.current) != dict(first):
        kept = [version.number for version in world.store.history(f"nasos/{NAME}") if not version.destroyed]
        assert dict(first) not in [dict(world.store.read(f"nasos/{NAME}", number).fields) for number in kept]
    return world


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.integers(1, EFFECTS), st.sampled_from(FAULTS), max_size=8),
    st.lists(st.sampled_from([Sight.CONFIRMED, Sight.BROKEN, Sight.ABSENT]), min_size=1, max_size=3),
    st.integers(0, 6),
)
def test_any_schedule_ends_with_one_working_credential(
    schedule: dict[int, str], script: list[Sight], rejects: int
) -> None:
    """Whatever fails where: at every instant the reader logs in, and in the end nothing is left over."""
    survive(schedule, [*script, Sight.CONFIRMED], rejects=rejects)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sight", [Sight.CONFIRMED, Sight.BROKEN])
def test_every_single_fault_and_every_pair(fault: str, sight: Sight) -> None:
    """Each side effect in turn, alone and together with each later one."""
    script = [sight, Sight.CONFIRMED]
    for first in range(1, 16):
        survive({first: fault}, script)
        for second in range(first + 1, 16):
            survive({first: fault, second: "kill after"}, script)


def test_ten_thousand_schedules() -> None:
    """Random schedules from one seed each."""
    for seed in range(10_000):
        chance = random.Random(seed)  # noqa: S311  a schedule, no key
        schedule = {chance.randint(1, EFFECTS): chance.choice(FAULTS) for _ in range(chance.randint(1, 5))}
        script = chance.choice([[Sight.CONFIRMED], [Sight.BROKEN, Sight.CONFIRMED]])
        survive(schedule, script, leaked=chance.random() < 0.3)
