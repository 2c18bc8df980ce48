"""`nasos bot import` before it does anything: what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasos.cli.root import run
from nasos.errors import EXIT_FAILED, EXIT_USAGE
from nasos.files import ExclusiveLock


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory without a stack, and a configuration beside it."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "config.json").write_text("{}")
    return tmp_path / "home"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["config.json", "--undo"],
        ["--undo", "--confirm"],
        ["config.json", "--confirm"],
        ["config.json", "--name", "A/b"],
    ],
)
def test_contradictions_are_a_usage_error(home: Path, words: list[str]) -> None:
    """Nothing was done."""
    assert run(["bot", "import", *words]) == EXIT_USAGE
    assert not list(home.iterdir())


def test_the_second_of_two_imports_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name and process, before Vault is asked."""
    (home / "import").mkdir(mode=0o700)
    with ExclusiveLock(home / "import" / "lock", "an import"):
        assert run(["bot", "import", "config.json"]) == EXIT_FAILED
    assert "an import is already under way (pid" in capsys.readouterr().err


def test_a_bot_that_runs_here_already_is_not_imported_into(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It holds its lock; and while an import works, the bot cannot start."""
    (home / "run" / "bot").mkdir(mode=0o700, parents=True)
    with ExclusiveLock(home / "run" / "bot" / "mine.lock", 'the bot "mine"'):
        assert run(["bot", "import", "config.json", "--name", "mine"]) == EXIT_FAILED
    assert 'the bot "mine" is already under way' in capsys.readouterr().err
