"""What was rotated, told from events: matched by their id, also where one of them is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasos.cli.root import run
from nasos.ledger import Ledger, Outcome, named
from nasos.ledger.files import parts
from nasos.rotation.history import history

NAME = "bots/nasos/db"


def begin(ledger: Ledger, number: str, name: str = NAME) -> None:
    """As `Run.begin` tells it."""
    ledger.append("rotation.begin", name, detail={"rotation": number, "by": "alice", "reason": "asked for"})


def end(ledger: Ledger, number: str, name: str = NAME, **more: str) -> None:
    """As `Run` tells it."""
    detail = {"rotation": number, "end": "rotated", "proofs": "a; b", "seconds": "1.250"} | more
    ledger.append("rotation.end", name, Outcome.OK if detail["end"] == "rotated" else Outcome.FAILED, detail)


def test_begin_and_end_are_matched_by_their_id(tmp_path: Path) -> None:
    """Two units at the same time, each with its own; who, why, proofs, seconds, steps."""
    ledger = Ledger(tmp_path / "events.jsonl", "rotator")
    begin(ledger, "1")
    begin(ledger, "2", "bots/nasos/jwt")
    ledger.append("rotation.step", NAME, detail={"rotation": "1", "step": "set"})
    end(ledger, "2", "bots/nasos/jwt", end="rolled back", why="the bot fails with the new one")
    end(ledger, "1")
    first, second = history(named(ledger.path, "rotation."))
    assert (first.name, first.outcome, first.by, first.reason) == (NAME, "rotated", "alice", "asked for")
    assert (first.seconds, first.proofs, first.steps) == (1.25, ("a", "b"), ("set",))
    assert (second.outcome, second.why) == ("rolled back", "the bot fails with the new one")


def test_without_an_end_the_newest_is_open_and_an_older_one_is_not(tmp_path: Path) -> None:
    """None of a unit begins before the last one is over: that its end was not seen does not make it open."""
    ledger = Ledger(tmp_path / "events.jsonl", "rotator")
    begin(ledger, "1")
    begin(ledger, "2", "bots/nasos/jwt")
    begin(ledger, "3")
    assert [past.outcome for past in history(named(ledger.path, "rotation."))] == ["unknown", "open", "open"]


def test_an_end_without_its_begin_is_shown(tmp_path: Path) -> None:
    """It was begun on another machine, and finished here."""
    ledger = Ledger(tmp_path / "events.jsonl", "rotator")
    end(ledger, "1")
    [past] = history(named(ledger.path, "rotation."))
    assert (past.began, past.outcome) == (None, "rotated")


def test_a_procedure_that_failed_says_why(tmp_path: Path) -> None:
    """Its end has an error and no proofs."""
    ledger = Ledger(tmp_path / "events.jsonl", "rotator")
    begin(ledger, "1", "vault/keyring")
    ledger.append("rotation.end", "vault/keyring", Outcome.FAILED, {"rotation": "1", "error": "vault is sealed"})
    [past] = history(named(ledger.path, "rotation."))
    assert (past.outcome, past.why, past.seconds) == ("failed", "vault is sealed", None)


def test_closed_and_compressed_parts_belong_to_it(tmp_path: Path) -> None:
    """A begin in a compressed part, its end in the growing file; other events are left out."""
    ledger = Ledger(tmp_path / "events.jsonl", "rotator", limit=2000)
    begin(ledger, "1")
    for _ in range(40):
        ledger.append("secret.write", "app/x", detail={"rotation": "not one"})
    end(ledger, "1")
    assert any(part.suffix == ".zst" for part in parts(ledger.path))
    [past] = history(named(ledger.path, "rotation."))
    assert (past.outcome, past.by) == ("rotated", "alice")
    assert len(named(ledger.path, "rotation.", recent=True)) == 1


def test_the_command_shows_one_name_or_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether the newest is open cannot be asked here, and that is said; the list is there all the same."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(tmp_path / "ledger" / "events.jsonl", "rotator")
    begin(ledger, "1")
    end(ledger, "1")
    begin(ledger, "2", "bots/nasos/jwt")
    assert run(["rotate", "history", "--json"]) == 0
    said = capsys.readouterr()
    assert [row["outcome"] for row in json.loads(said.out)] == ["rotated", "open"]
    assert "cannot be asked of Vault" in said.err
    assert run(["rotate", "history", NAME]) == 0
    assert "by alice: asked for" in capsys.readouterr().out
    assert run(["rotate", "history", "-n", "1", "--json"]) == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["2"]
