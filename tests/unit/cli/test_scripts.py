from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


def script(name: str, *arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Run a script of the user's document."""
    return subprocess.run(
        [str(PROJECT / "scripts" / name), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "NASOS_HOME": str(cwd / "no-such-home")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--all"], 3),
        (["--db"], 3),
        (["--jwt"], 3),
        (["--api"], 3),
        (["--db", "--jwt"], 3),
        (["--all", "--dry-run"], 3),
        (["--rollback", "bots/nasos/db"], 3),
        (["--rollback=bots/nasos/db"], 3),
        (["--help"], 0),
        (["-h"], 0),
        ([], 2),
        (["--dry-run"], 2),
        (["--rollback"], 2),
        (["--rollback", "--db"], 2),
        (["--rollback", ""], 2),
        (["--rollback", "x", "--db"], 2),
        (["--unknown"], 2),
        (["db"], 2),
        (["--all", "extra"], 2),
        (["--jwt; id"], 2),
    ],
)
def test_rotate_secrets_keeps_the_documents_flags(arguments: list[str], code: int) -> None:
    """Every documented flag is understood; without a stack there is nothing to rotate, and that is no success."""
    result = script("rotate_secrets.sh", *arguments)
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    if code == 3:
        assert "there is no stack in" in result.stderr
    if code == 2:
        assert "hint: " in result.stderr
        assert result.stdout == ""
    if code == 0:
        for flag in ("--all", "--db", "--jwt", "--api", "--dry-run", "--rollback NAME", "--help"):
            assert flag in result.stdout


def test_the_security_test_passes_arguments_and_exit_code_on(tmp_path: Path) -> None:
    """security_test.sh is nasos check, from any directory and through a link."""
    result = script("security_test.sh", "vault", cwd=tmp_path)
    assert result.returncode == 1
    assert "vault.reachable" in result.stdout
    assert script("security_test.sh", "nonsense", cwd=tmp_path).returncode == 2
    assert script("security_test.sh", "--list", cwd=tmp_path).returncode == 0
    link = tmp_path / "link.sh"
    link.symlink_to(PROJECT / "scripts" / "security_test.sh")
    assert subprocess.run([str(link), "--help"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", sorted(path.name for path in (PROJECT / "scripts").glob("*.sh")))
def test_scripts_are_clean(name: str) -> None:
    """POSIX shell, an error ends a script (but never the shell that sources one), shellcheck has nothing to say."""
    path = PROJECT / "scripts" / name
    text = path.read_text()
    if text.startswith("# shellcheck shell=sh"):  # is sourced
        assert "\nset -" not in text
    else:
        assert text.startswith("#!/bin/sh\n")
        assert "\nset -eu\n" in text
        assert path.stat().st_mode & 0o111
    subprocess.run([str(PROJECT / ".venv/bin/shellcheck"), str(path)], check=True)
