from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from nasos.checks import GROUPS, Ports, select
from nasos.cli.root import run
from nasos.cli.target import target
from nasos.finding import Finding
from nasos.settings import AppRole, load
from nasos.stack.home import Record
from nasos.stack.ports import Ports as RecordedPorts


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and project."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NASOS_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "rotate_secrets.sh").touch(mode=0o755)
    return tmp_path / "home"


def recorded(home: Path) -> Record:
    """A stack that was made here and does not run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        record = Record(id="abcd1234", ports=RecordedPorts.following(min(free.getsockname()[1], 65000)))
    home.mkdir(mode=0o700)
    (home / "stack.json").write_bytes(msgspec.json.encode(record))
    return record


def test_without_a_stack_one_finding_says_what_to_type(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, one failure with its fix, dependents skipped with the reason."""
    assert run(["check"]) == 1
    shown = capsys.readouterr().out
    assert "✗ vault.reachable" in shown
    assert "fix:  ./nasos up" in shown
    assert "skipped: depends on vault.reachable, which did not pass" in shown
    assert "1 failed" in shown.splitlines()[-1]
    assert not home.exists()


def test_a_stopped_stack_is_one_finding_too(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its port is closed; what runs through it is skipped."""
    recorded(home)
    assert run(["check", "vault", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 1
    assert [each["id"] for each in answer["findings"] if each["state"] == "fail"] == ["vault.reachable"]


@pytest.mark.usefixtures("home")
def test_json_findings_have_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    """One document: exit_code, summary, findings; each finding reads back."""
    run(["check", "cloudflare", "rotation", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["exit_code", "summary", "findings"]
    assert list(answer["summary"]) == ["pass", "fail", "skip", "error", "waived"]
    findings = msgspec.convert(answer["findings"], list[Finding])
    asked = [each.id for each in findings if not each.id.startswith("vault.")]  # what the second needs comes with it
    names = ("settings", "tokens", "least-privilege", "records", "zone", "origin", "renewal", "companion")
    cloudflare = [f"cloudflare.{name}" for name in names]
    assert asked == [*cloudflare, "rotation.mechanism", "rotation.inventory", "rotation.overdue"]


@pytest.mark.usefixtures("home")
def test_nothing_told_is_not_clean(capsys: pytest.CaptureFixture[str]) -> None:
    """Only skipped checks: exit 3."""
    assert run(["check", "cloudflare"]) == 3
    assert capsys.readouterr().out.splitlines()[-1] == "8 skipped"


@pytest.mark.usefixtures("home")
def test_the_list_checks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """All rules with severity and title; as JSON with why, fix and the place in the documentation."""
    assert run(["check", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(select())
    assert run(["check", "--list", "--json"]) == 0
    for rule in json.loads(capsys.readouterr().out):
        assert list(rule) == ["id", "title", "severity", "why", "fix", "docs", "needs"]
        assert rule["docs"] == f"docs/check.md#{rule['id'].replace('.', '')}"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("arguments", [["nonsense"], ["vault", "nonsense"], ["--nonsense"]])
def test_wrong_usage_is_two(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """An unknown group or flag is refused before anything is checked, naming the known groups."""
    assert run(["check", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    if "nonsense" in arguments:
        assert ", ".join(GROUPS) in shown.err


def test_no_colour_where_nobody_sees_it() -> None:
    """A pipe gets plain text."""
    command = [sys.executable, "-m", "nasos", "check", "host"]
    assert b"\x1b" not in subprocess.run(command, capture_output=True, check=False).stdout


def test_the_target_is_built_from_the_record(home: Path) -> None:
    """Ports, the checker's credential file and the unseal key's place come from what is there."""
    record = recorded(home)
    built = target(load())
    assert built.ports == Ports(
        *(getattr(record.ports, name) for name in ("https", "vault", "postgres", "bot", "exchange", "gateway"))
    )
    assert built.vault is not None
    assert built.vault.address == f"https://127.0.0.1:{record.ports.vault}"
    assert isinstance(built.vault.credential, AppRole)
    assert built.vault.credential.secret_id_file == home / "credentials" / "checker.json"
    assert built.key_file is not None
    assert built.key_file.parts[-2:] == ("abcd1234", "unseal.key")
    assert not built.key_file.is_relative_to(home)
    assert built.now.tzinfo is not None
    assert built.processes == ()


@pytest.mark.usefixtures("home")
def test_a_configured_vault_is_asked_instead_of_the_local_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """VAULT_ADDR names the server; the credential is the checker's own, never the operator's token."""
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example:8200")
    monkeypatch.setenv("VAULT_TOKEN", "operators-own-token")
    built = target(load())
    assert built.vault is not None
    assert built.vault.address == "https://vault.example:8200"
    assert isinstance(built.vault.credential, AppRole)


def test_a_damaged_record_is_an_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack.json that cannot be understood is not read as "no stack"."""
    recorded(home)
    (home / "stack.json").write_text("{")
    assert run(["check"]) == 3
    assert "stack.json is damaged" in capsys.readouterr().err
