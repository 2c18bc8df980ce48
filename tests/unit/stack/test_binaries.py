"""A replaced server, library or SQL file is refused before it is executed; the pinned one runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nasos.stack.binaries import PROGRAMS, find, flaws, place

Change = Callable[[Path], None]


def run(packages: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The verified start, with these packages in front of the environment's own."""
    return subprocess.run(
        [sys.executable, "-m", "nasos.stack.verified", name, *arguments],
        env={**os.environ, "PYTHONPATH": str(packages)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def copied(name: str, packages: Path) -> Path:
    """A copy of the program's wheel, and the program in it."""
    program = PROGRAMS[name]
    package = place(name)
    while package.name != program.package:
        package = package.parent
    shutil.copytree(package, packages / program.package, ignore=shutil.ignore_patterns("__pycache__"))
    return packages / program.package / place(name).relative_to(package)


def turn_one_bit(path: Path) -> None:
    """In the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


VERSION = {name: ["--version"] for name in PROGRAMS} | {"nginx": ["-v"], "bao": ["version"]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_pinned_program_runs(tmp_path: Path, name: str) -> None:
    """The negative twin of the refusals: the verified start becomes the program."""
    done = run(tmp_path, name, *VERSION[name])
    assert done.returncode == 0, done.stderr
    assert PROGRAMS[name].wheel.partition(" ")[2].removesuffix(".0") in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["nginx", "postgres", "initdb"])
def test_one_bit_is_enough_to_be_refused(tmp_path: Path, name: str) -> None:
    """Not executed, exit code 3, the file named and how to get the right one."""
    turn_one_bit(copied(name, tmp_path))
    done = run(tmp_path, name, *VERSION[name])
    assert done.returncode == 3
    assert done.stdout == ""
    assert "SHA-256 differs" in done.stderr
    assert str(tmp_path) in done.stderr
    assert "hint: uv sync --reinstall" in done.stderr


CHANGES: dict[str, Change] = {
    "a library changed": lambda root: turn_one_bit(root / "lib" / "libcrypto.so.3"),
    "a library added": lambda root: (root / "lib" / "libm.so.6").touch(),
    "a library gone": lambda root: (root / "lib" / "plpgsql.so").unlink(),
    "SQL of a new cluster changed": lambda root: turn_one_bit(root / "share" / "system_views.sql"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_postgresql_loads_from_its_wheel_counts_too(tmp_path: Path, change: str) -> None:
    """The program itself is the pinned one."""
    path = copied("postgres", tmp_path)
    assert run(tmp_path, "postgres", "--version").returncode == 0
    CHANGES[change](path.parents[1])
    done = run(tmp_path, "postgres", "--version")
    assert done.returncode == 3
    assert "SHA-256 differs" in done.stderr


def test_nothing_is_remembered_between_two_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Good a moment ago, changed since with its old times: refused."""
    path = copied("nginx", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("nginx") == path
    status = path.stat()
    turn_one_bit(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "SHA-256 differs" in flaws()["nginx"]
    assert flaws()["bao"] == ""
