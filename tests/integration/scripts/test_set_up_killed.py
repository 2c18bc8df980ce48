"""The set-up killed with everything that it started, while it installs: run again, it completes."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.stack import copy_checkout, until

STARTED = '#!/bin/sh\necho "started with: $*"\n'
WHOLE = """
from importlib.metadata import distributions
missing = [str(file) for each in distributions() for file in each.files or () if not file.locate().exists()]
print(len(list(distributions())), missing[:5])
"""


@dataclass(frozen=True)
class SetUp:
    """A copied checkout whose `nasos` only says how it was called: the stack's own bad days are tried elsewhere."""

    project: Path
    words: tuple[str, ...] = ("./scripts/setup_security.sh", "--port", "18443")

    def packages(self, environment: str) -> int:
        """How many packages stand in one of the environments."""
        return len(list((self.project / environment).glob("lib/python3*/site-packages/*.dist-info")))

    def killed_when(self, moment: Callable[[], object]) -> None:
        """Start it and kill its whole group at that moment."""
        with (self.project.parent / "log").open("wb") as log:
            process = subprocess.Popen(self.words, cwd=self.project, stdout=log, stderr=log, start_new_session=True)
        until(lambda: moment() or process.poll() is not None, 300)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, self.log()

    def completes(self) -> None:
        """Run it to its end: both environments are whole."""
        done = subprocess.run(self.words, cwd=self.project, capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode, done.stdout) == (0, "started with: up --port 18443\n"), done.stderr
        self.is_whole(".venv", 8)
        self.is_whole(".venv-bot", 60)

    def is_whole(self, environment: str, least: int) -> None:
        """Every file of every package is there."""
        python = self.project / environment / "bin" / "python"
        told = subprocess.run([python, "-I", "-c", WHOLE], capture_output=True, text=True, check=True).stdout
        number, missing = told.split(" ", 1)
        assert int(number) >= least
        assert missing == "[]\n"
        assert not (self.project / f".tools/unfinished{environment}").exists()

    def log(self) -> str:
        """What the killed run said."""
        return (self.project.parent / "log").read_text()


@pytest.fixture
def set_up() -> Iterator[SetUp]:
    """A fresh copy; downloads that this user's uv has already are taken from its cache."""
    with tempfile.TemporaryDirectory(prefix="nasos-killed-") as place:
        Path(place).chmod(0o755)
        project = Path(place) / "nasos"
        copy_checkout(project)
        (project / "nasos").write_text(STARTED)
        yield SetUp(project)


def test_killed_while_packages_arrive(set_up: SetUp) -> None:
    """Some packages are there, others are not, some are half there; the next run leaves none of it as it was."""
    set_up.killed_when(lambda: set_up.packages(".venv"))
    set_up.killed_when(lambda: "[3/4]" in set_up.log())
    set_up.is_whole(".venv", 8)


@pytest.mark.long
def test_killed_again_and_again(set_up: SetUp) -> None:
    """At the first package, at more of them, with and without the environment's interpreter, and while it compiles."""
    moments: list[Callable[[], object]] = [
        (set_up.project / ".venv").exists,
        lambda: set_up.packages(".venv"),
        lambda: set_up.packages(".venv") > 5,
        lambda: list((set_up.project / ".venv").glob("lib/python3*/site-packages/*/__pycache__")),
        (set_up.project / ".venv-bot").exists,
        lambda: set_up.packages(".venv-bot") > 20,
        lambda: set_up.packages(".venv-bot") > 50,
        lambda: list((set_up.project / ".venv-bot").glob("lib/python3*/site-packages/*/__pycache__")),
    ]
    for moment in moments:
        set_up.killed_when(moment)
    set_up.completes()
