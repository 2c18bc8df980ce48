from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nasos.checks import select
from nasos.cli.root import run
from nasos.finding import Finding, Severity, State
from nasos.ledger import Event

PAGE = (Path(__file__).parents[3] / "docs" / "json.md").read_text()


def section(command: str) -> str:
    """The part of docs/json.md about this command."""
    return PAGE.split(f"## `{command}`\n")[1].split("\n## ")[0]


def test_the_example_of_check_has_the_real_shape() -> None:
    """The documented finding has a finding's fields and a known id."""
    example = json.loads(re.findall(r"```json\n(.*?)```", section("nasos check --json"), re.DOTALL)[0])
    [finding] = example["findings"]
    assert list(finding) == list(Finding.__struct_fields__)
    assert list(example["summary"]) == [str(state) for state in State]
    assert sum(example["summary"].values()) == len(select())
    for word in (*Severity, *State):
        assert f"`{word}`" in section("nasos check --json")
    [rule] = [each for each in select() if each.id == finding["id"]]
    assert (finding["title"], finding["why"], finding["severity"]) == (rule.title, rule.why, rule.severity)


def test_the_events_fields_are_documented() -> None:
    """Exactly the fields of the ledger's contract."""
    assert re.findall(r"^\| `(\w+)` \|", section("nasos ledger show --json"), re.MULTILINE) == list(
        Event.__struct_fields__
    )


def test_the_list_of_checks_has_the_documented_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/json.md names them."""
    assert run(["check", "--list", "--json"]) == 0
    names = re.findall(r'"(\w+)"', section("nasos check --list --json"))
    assert names == list(json.loads(capsys.readouterr().out)[0])
