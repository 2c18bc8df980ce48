"""The keeper: a program and its children end together, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.stack import until

# A master that starts a worker, as nginx does: the worker ignores what happens to its master.
MASTER = 'sleep 300 & echo $! > "$0/worker"; echo $$ > "$0/master"; trap "exit 7" TERM HUP; while :; do wait; done'


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper with a master and a worker under it."""
    process = subprocess.Popen([sys.executable, "-m", "nasos.stack.keeper", "/bin/sh", "-c", MASTER, str(tmp_path)])
    try:
        until(lambda: (tmp_path / "master").exists() and (tmp_path / "master").read_text().strip(), 10)
        yield process
    finally:
        process.kill()
        process.wait()


def _pid(directory: Path, name: str) -> int:
    return int((directory / name).read_text())


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_master_takes_its_workers_along(kept: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """kill -9 of the master: the worker is ended before the keeper says that it is over."""
    os.kill(_pid(tmp_path, "master"), signal.SIGKILL)
    assert kept.wait(10) == 128 + signal.SIGKILL
    assert not _alive(_pid(tmp_path, "worker"))


def test_a_killed_keeper_ends_the_program(kept: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """kill -9 of the keeper: the kernel tells the master, which ends."""
    kept.kill()
    kept.wait()
    until(lambda: not _alive(_pid(tmp_path, "master")), 10)
    os.kill(_pid(tmp_path, "worker"), signal.SIGKILL)  # a real master ends its own workers on TERM; this one does not


def test_signals_and_exit_codes_are_passed_on(kept: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """HUP reaches the program, and its exit code comes back."""
    kept.send_signal(signal.SIGHUP)
    assert kept.wait(10) == 7
    assert not _alive(_pid(tmp_path, "worker"))
