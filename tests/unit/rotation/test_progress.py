"""What is said to whoever waits: each step as it begins, and nothing where nobody asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fixtures.rotation import NAME, World
from nasos.cli.rotate.progress import WORDS, narrating
from nasos.ledger import Outcome
from nasos.rotation.journal import Step
from nasos.rotation.rotator import Sight
from simulators.roles import ScriptedConsumer


def quiet(_event: str, _target: str, _outcome: Outcome, _detail: Mapping[str, str]) -> None:
    """Tells nobody."""


def test_every_step_has_words() -> None:
    """A new step needs some."""
    assert set(WORDS) == {step.value for step in Step}


@pytest.mark.parametrize(
    ("sights", "steps"),
    [
        ([Sight.CONFIRMED], ["set", "test", "promote", "deliver", "retire"]),
        (
            [Sight.BROKEN, Sight.CONFIRMED],
            ["set", "test", "promote", "deliver", "restore", "redeliver", "discard"],
        ),
    ],
)
def test_each_step_is_said_as_it_begins(
    sights: list[Sight], steps: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, in order, also on the way back."""
    world = World(consumers=[ScriptedConsumer(sights)], overlap=1.0)
    told = narrating(quiet, asked=True)
    world.process(lambda engine: engine.rotate(NAME, actor="tester", reason="progress"))
    for event, outcome, detail in world.told:
        told(event, NAME, outcome, detail)
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"  {NAME}: {WORDS[step]} ..." for step in steps]
    assert said.out == ""


def test_nobody_asked_and_no_terminal_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """A cron job's mail has the answer only."""
    assert narrating(quiet) is quiet
    assert capsys.readouterr().err == ""
