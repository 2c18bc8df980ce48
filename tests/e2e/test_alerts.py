"""What fails on the real stack truly leaves the machine, whoever is killed meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from fixtures.stack import Walk
from simulators.receiver import Receiver, http_receiver


@pytest.fixture
def receiver(stack: Walk) -> Iterator[Receiver]:
    """A receiver that the stack knows as its only channel."""
    with http_receiver() as running:
        stack.nasos("alert", "add", "test-phone", stdin=running.url())
        yield running
        stack.nasos("alert", "rm", "test-phone")


def kill(stack: Walk, program: str) -> None:
    """``kill -9``, as it happens."""
    pid = stack.pid(program)
    assert pid
    os.kill(pid, signal.SIGKILL)


def told(receiver: Receiver, words: str) -> bool:
    """Whether a message with these words arrived."""
    return any(words in message["title"] + message["message"] for message in receiver.messages)


def test_a_killed_program_is_told_recorded_and_started_again(stack: Walk, receiver: Receiver) -> None:
    """One alert on the phone, the end and the new start in the ledger, and a chain that Vault vouches for."""
    assert stack.nasos("alert", "test").returncode == 0
    before = len(stack.json("ledger", "show", "-n", "100000"))
    kill(stack, "exchange")
    stack.until(lambda: told(receiver, "program.exit failed (exchange)"), 120)
    stack.until(stack.healthy, 120)

    def recorded() -> list[tuple[str, str]]:
        events = stack.json("ledger", "show", "-n", "100000")[before:]
        return [(event["actor"], event["event"]) for event in events if event["target"] == "exchange"]

    stack.until(lambda: len(recorded()) >= 2, 60)
    assert recorded() == [("supervisord", "program.exit"), ("supervisord", "program.start")]
    assert stack.json("ledger", "verify")["intact"] is True


def test_the_watcher_may_be_killed_itself(stack: Walk, receiver: Receiver) -> None:
    """Its own end is recorded by its successor, which tells of it, and of what happened in between."""
    kill(stack, "watcher")
    kill(stack, "exchange")
    stack.until(lambda: told(receiver, "program.exit failed (watcher)"), 120)
    stack.until(stack.healthy, 120)
    shown = [(event["event"], event["target"]) for event in stack.json("ledger", "show", "-n", "40")]
    assert ("program.exit", "watcher") in shown
    assert ("program.exit", "exchange") in shown


def test_what_rotation_could_not_do_is_told(stack: Walk, receiver: Receiver) -> None:
    """An overdue secret, by its own event; a rotation that was taken back, and candidates that are refused."""
    path = stack.project / "nasos.toml"
    path.write_text('[rotation.schedule]\n"bots/nasos/jwt" = { every = "1m", grace = "0m", how = "reminder" }\n')
    path.chmod(0o644)
    try:
        stack.until(lambda: stack.nasos("rotate", "due", check=False).returncode == 1, 120)
    finally:
        path.unlink()
    stack.until(lambda: told(receiver, "a secret is older than its timetable allows"), 120)
    assert told(receiver, "rotation.overdue failed (bots/nasos/jwt)")
    record = "import sys; from pathlib import Path; from nasos.ledger import Ledger, Outcome; " + "".join(
        f"Ledger(Path(sys.argv[1]), 'rotator').append('{event}', 'bots/nasos/db', Outcome.FAILED, {detail}); "
        for event, detail in (
            ("rotation.end", {"rotation": "1", "end": "rolled back", "why": "the bot did not take it up"}),
            ("rotation.rejected", {"rotation": "1", "candidates": "3"}),
        )
    )
    stack.run(
        str(stack.project / ".venv" / "bin" / "python"), "-c", record, str(stack.home / "ledger" / "events.jsonl")
    )
    stack.until(lambda: told(receiver, "rotation.end failed (bots/nasos/db)"), 120)
    stack.until(lambda: told(receiver, "rotation.rejected failed (bots/nasos/db)"), 120)
    assert told(receiver, "the bot did not take it up")
