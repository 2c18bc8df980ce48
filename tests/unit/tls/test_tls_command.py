"""``nasos tls`` and ``scripts/setup_ssl.sh``: what they print, what they leave, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state directory that does not exist yet."""
    return tmp_path / "home"


def _run(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home.parent), "NASOS_HOME": str(home), "LANG": "C.UTF-8"}
    return subprocess.run(
        [*map(str, words)], capture_output=True, text=True, check=False, env=environment, cwd=home.parent
    )


def _nasos(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(home, sys.executable, "-m", "nasos", *words)


def test_setup_then_status(home: Path) -> None:
    """Nothing there is exit 1; after ``setup`` all is good, exit 0, and the ledger tells what was issued."""
    assert _nasos(home, "tls", "status").returncode == 1
    done = _nasos(home, "tls", "setup")
    assert (done.returncode, done.stdout) == (0, f"{home}/tls/ca.pem\n")
    assert "issued (no key)" in done.stderr
    status = _nasos(home, "tls", "status", "--json")
    shown = json.loads(status.stdout)
    assert (status.returncode, shown["good"]) == (0, True)
    assert [one["service"] for one in shown["certificates"]] == ["vault", "postgres", "bot", "edge", "gateway", "nginx"]
    events = [json.loads(line) for line in (home / "ledger" / "events.jsonl").read_text().splitlines()]
    assert [(event["event"], event["target"]) for event in events] == [
        ("tls.issue", name) for name in ("vault", "postgres", "bot", "edge", "gateway", "nginx")
    ]


def test_setup_again_and_by_force(home: Path) -> None:
    """A second ``setup`` leaves good certificates alone; ``--force`` does not."""
    _nasos(home, "tls", "setup")
    before = (home / "tls" / "edge.pem").read_bytes()
    assert "good as it is" in _nasos(home, "tls", "setup").stderr
    assert (home / "tls" / "edge.pem").read_bytes() == before
    assert "issued (asked for)" in _nasos(home, "tls", "setup", "--force").stderr
    assert (home / "tls" / "edge.pem").read_bytes() != before


def test_no_key_is_printed(home: Path) -> None:
    """Neither command shows a line of a key."""
    shown = _nasos(home, "tls", "setup").stderr + _nasos(home, "tls", "status", "--json").stdout
    lines = {line for path in (home / "tls").glob("*.key") for line in path.read_text().splitlines()[1:-1]}
    assert lines
    assert not [line for line in lines if line in shown]


def test_open_ca_key_ends_with_a_hint(home: Path) -> None:
    """A CA key that others can read: exit 3, and the hint mends it."""
    _nasos(home, "tls", "setup")
    (home / "tls" / "ca.key").chmod(0o644)
    done = _nasos(home, "tls", "setup")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == f"nasos: hint: chmod 600 {home}/tls/ca.key"


def test_script_is_the_same_command(home: Path) -> None:
    """``scripts/setup_ssl.sh`` issues without arguments, passes arguments and exit codes on, and helps."""
    script = ROOT / "scripts" / "setup_ssl.sh"
    assert _run(home, script, "--help").stdout.startswith("Usage: scripts/setup_ssl.sh")
    assert not home.exists()
    assert _run(home, script).returncode == 0
    assert (home / "tls" / "edge.key").exists()
    assert "asked for" in _run(home, script, "--force").stderr
    assert _run(home, script, "--nonsense").returncode == 2
