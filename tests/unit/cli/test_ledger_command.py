from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nasos.cli.root import run
from nasos.ledger import Ledger, Outcome


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The ledger of an otherwise empty home."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return Ledger(tmp_path / "ledger" / "events.jsonl", "operator")


def test_the_newest_events_are_listed_newest_last(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, the last N, with outcome and detail."""
    for n in range(1, 6):
        ledger.append("secret.write", f"app/key-{n}", Outcome.OK, {"version": str(n)})
    assert run(["ledger", "show", "-n", "2"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in shown] == [["app/key-4", "version=4"], ["app/key-5", "version=5"]]


def test_a_clock_that_is_set_back_moves_no_event_out_of_sight(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number, not by time: what happened last stands last, and the chain is as intact as ever."""
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    for n, hours in enumerate((0, 1, -1, 48, 0)):
        ledger.append("secret.write", f"app/key-{n}", now=noon + timedelta(hours=hours))
    assert run(["ledger", "show", "-n", "3"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in shown] == ["app/key-2", "app/key-3", "app/key-4"]
    assert run(["ledger", "verify", "--offline"]) == 0


def test_json_is_one_document_with_the_fields_of_the_contract(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shape of docs/json.md."""
    ledger.append("stack.up", "abc")
    assert run(["ledger", "show", "--json"]) == 0
    [event] = json.loads(capsys.readouterr().out)
    assert list(event) == ["seq", "time", "actor", "event", "target", "outcome", "detail", "host", "prev"]


def test_an_intact_ledger_verifies(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, with the number of events; an empty one is intact."""
    assert run(["ledger", "verify"]) == 0
    event = ledger.append("stack.up", "abc")
    assert run(["ledger", "verify"]) == 0
    assert f"intact: {ledger.path}, 1 events" in capsys.readouterr().out
    assert run(["ledger", "verify", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    [found] = answer["ledgers"]
    assert answer["intact"] is True
    assert (found["path"], found["events"], found["damages"]) == (str(ledger.path), 1, [])
    assert found["head"]["seq"] == event.seq


def test_a_changed_ledger_is_a_finding(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and the line's number, as text and as JSON; show refuses to show it as if nothing were."""
    for n in range(3):
        ledger.append("secret.write", f"app/{n}")
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"app/1", b"app/9"))
    assert run(["ledger", "verify"]) == 1
    assert "edited: " in capsys.readouterr().out
    assert run(["ledger", "verify", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["intact"] is False
    assert [(damage["kind"], damage["line"]) for damage in answer["ledgers"][0]["damages"]] == [("edited", 2)]
    assert run(["ledger", "show"]) == 3


def test_a_torn_line_is_said_and_is_no_finding(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash is told apart from a hand."""
    ledger.append("stack.up", "abc")
    with ledger.path.open("ab") as file:
        file.write(b'{"seq":2,"ti')
    assert run(["ledger", "verify"]) == 0
    assert "line 2: a crash tore an event" in capsys.readouterr().out


def test_no_event_can_write_to_the_terminal(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters in names are shown escaped."""
    ledger.append("secret.write", "app/\x1b[2J\nforged", detail={"k": "\x1b]0;x\x07"})
    assert run(["ledger", "show"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count("\n") == 1


def test_a_ledger_that_cannot_be_read_is_an_error(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 3, two lines at most, no traceback."""
    ledger.path.mkdir(parents=True)
    assert run(["ledger", "verify"]) == 3
    assert "cannot read the ledger" in capsys.readouterr().err
