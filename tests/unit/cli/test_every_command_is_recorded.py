from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import nasos
from nasos.cli import root
from nasos.cli.recorded import recorded
from nasos.cli.root import run
from nasos.errors import AlreadyRunning, Error, OutcomeUnknown, PermissionDenied, UsageError
from nasos.ledger import Outcome, read
from nasos.settings import Settings, load

TABLE = tomllib.loads(Path(__file__).with_name("events_of_commands.toml").read_text())
EVENTS: dict[str, list[str]] = TABLE["events"]
NONE: dict[str, str] = TABLE["none"]


def commands(group: click.Group, name: str = "") -> Iterator[str]:
    """Every command below a group, by its words."""
    context = click.Context(group)
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        assert command
        words = f"{name} {each}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, words)
        else:
            yield words


def test_every_command_leaves_an_event_or_says_why_not() -> None:
    """A new command fails here until events_of_commands.toml has its line; nothing stale stays there."""
    found = set(commands(root.nasos))
    assert sorted(found - set(EVENTS) - set(NONE)) == [], "add these to tests/unit/cli/events_of_commands.toml"
    assert sorted((set(EVENTS) | set(NONE)) - found) == [], "these commands are gone: remove them there"
    assert not set(EVENTS) & set(NONE)
    assert all(len(reason) > 15 for reason in NONE.values())


def test_every_named_event_is_written_somewhere() -> None:
    """The table names no event that the source does not."""
    source = "".join(path.read_text() for path in Path(nasos.__file__).parent.rglob("*.py"))
    named = {event for events in EVENTS.values() for event in events}
    assert {event for event in named if not re.search(rf'"{re.escape(event)}"', source)} == set()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of an empty home."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return load()


def last(settings: Settings) -> tuple[str, str, Outcome, dict[str, str]]:
    """The newest event."""
    event = read(settings.home / "ledger" / "events.jsonl")[-1]
    return event.event, event.target, event.outcome, event.detail


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Error("it broke"), Outcome.FAILED),
        (PermissionDenied("it broke"), Outcome.REFUSED),
        (AlreadyRunning("it broke"), Outcome.REFUSED),
        (OutcomeUnknown("it broke"), Outcome.UNKNOWN),
    ],
)
def test_a_command_that_fails_is_recorded_with_its_reason(settings: Settings, error: Error, outcome: Outcome) -> None:
    """Who, what, on what, how it ended and why; the error goes on to the person."""
    with pytest.raises(Error, match="it broke"), recorded(settings, "stack.restart", "vault"):
        raise error
    name, target, seen, detail = last(settings)
    assert (name, target, seen, detail["why"]) == ("stack.restart", "vault", outcome, "it broke")
    assert detail["by"]


def test_a_command_that_is_interrupted_is_recorded_as_unknown(settings: Settings) -> None:
    """Ctrl-C leaves an event too."""
    with pytest.raises(KeyboardInterrupt), recorded(settings, "stack.restart", "vault"):
        raise KeyboardInterrupt
    assert last(settings)[2] is Outcome.UNKNOWN


def test_what_was_only_typed_wrong_is_no_event(settings: Settings) -> None:
    """Nothing was done."""
    with pytest.raises(UsageError), recorded(settings, "stack.restart", "vault"):
        raise UsageError("no such thing")
    assert not (settings.home / "ledger").exists()


def test_a_ledger_that_cannot_be_written_is_said_and_keeps_nobody_from_his_work(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory in the ledger's place costs the event, not the work."""
    (settings.home / "ledger" / "events.jsonl").mkdir(parents=True)
    with recorded(settings, "stack.restart", "vault"):
        pass
    assert "this was not recorded (stack.restart)" in capsys.readouterr().err


def test_a_failed_command_of_the_stack_is_in_the_ledger(settings: Settings) -> None:
    """``nasos restart`` where there is no stack fails, and says so to whoever reads the ledger."""
    assert run(["restart", "vault"]) == 3
    assert last(settings)[:3] == ("stack.restart", "vault", Outcome.FAILED)
    assert run(["down"]) == 3
    assert last(settings)[:3] == ("stack.down", "stack", Outcome.FAILED)


def test_no_ledger_is_made_where_there_is_no_home(tmp_path: Path) -> None:
    """A failed command in a directory without a stack leaves nothing behind."""
    done = subprocess.run(
        [sys.executable, "-m", "nasos", "down"],
        env={"NASOS_HOME": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert not (tmp_path / "none").exists()
