"""The timer of rotation: what stands in its units, what systemd's own checker says, installed and taken away again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from nasos.cli.root import run
from nasos.settings import load
from nasos.stack import timer
from nasos.stack.boot import Boot
from nasos.stack.embedded import Stack
from nasos.stack.home import Home, Record
from nasos.stack.ports import Ports
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A stack that never ran, in a directory with a space."""
    place = tmp_path / "with a space"
    place.mkdir()
    settings = load({"NASOS_HOME": str(place / "home"), "NASOS_KEY_DIR": str(place / "key")}, place, files=False)
    home = Home(settings.home, Users(separate=False))
    return Stack(settings, home, Record(id="0a1b2c3d", ports=Ports.following(8443)), Supervisor(home))


@pytest.fixture
def places(tmp_path: Path) -> tuple[Boot, Boot]:
    """Where the units go in this test."""
    directory = tmp_path / "units"
    service, of_time = "nasos-0a1b2c3d-rotate.service", "nasos-0a1b2c3d-rotate.timer"
    return Boot(service, directory / service, as_root=False), Boot(of_time, directory / of_time, as_root=False)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `systemctl` was told."""
    programs, said = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    said.touch()
    script = programs / "systemctl"
    script.write_text(f'#!/bin/sh\necho "$@" >> "{said}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return said


def test_it_is_started_and_taken_away_without_a_trace(stack: Stack, places: tuple[Boot, Boot], told: Path) -> None:
    """Installed twice it is the same; whoever has the stack's own rotator on is told; removed twice it is gone."""
    service, clock = places
    for _ in range(2):
        said = timer.install(stack, places)
        assert "service = false" in said[-1]
    assert "-m nasos rotate due" in service.path.read_text()
    assert f'Environment="NASOS_HOME={stack.settings.home}"' in service.path.read_text()
    assert "Persistent=true" in clock.path.read_text()
    assert timer.remove(stack, places)[0].startswith("the timer is gone")
    assert not list(clock.path.parent.iterdir())
    assert timer.remove(stack, places) == ["there was no timer"]
    on = ["--user daemon-reload", f"--user enable --now {clock.name}"]
    off = [f"--user disable --now {clock.name}", "--user daemon-reload"]
    assert told.read_text().splitlines() == [*on, *on, *off]


@pytest.mark.parametrize("as_root", [True, False])
@pytest.mark.usefixtures("told")
def test_systemds_own_checker_has_nothing_to_say(stack: Stack, places: tuple[Boot, Boot], *, as_root: bool) -> None:
    """Where this machine has it."""
    timer.install(stack, places)
    service, clock = places
    service.path.write_text(timer.render(stack, as_root=as_root))
    checker = shutil.which("systemd-analyze")
    if checker is None:
        return
    done = subprocess.run(
        [checker, "verify", "--man=no", str(service.path), str(clock.path)], capture_output=True, text=True, check=False
    )
    own = [text for text in done.stderr.splitlines() if "nasos-0a1b2c3d" in text]
    assert own == [], done.stderr


def test_without_systemd_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain error."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["rotate", "install-timer"]) == 3
    told = capsys.readouterr().err
    assert "does not run systemd" in told
    assert "hint: from cron: " in told
    assert told.rstrip().endswith("rotate due")
