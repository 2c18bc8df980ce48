"""The systemd unit: what stands in it, what systemd's own checker says, and what happens without systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from nasos.cli.root import run
from nasos.errors import StackError
from nasos.settings import load
from nasos.stack import boot
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


def parsed(text: str) -> dict[str, dict[str, list[str]]]:
    """Sections, keys and all their values, as systemd.syntax(7) says; anything else is an error."""
    sections: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] | None = None
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line[0] in "#;":
            continue
        if line.startswith("["):
            assert line.endswith("]")
            section = sections.setdefault(line[1:-1], {})
            continue
        key, sign, value = line.partition("=")
        assert sign
        assert key.isalpha()
        assert section is not None
        section.setdefault(key, []).append(value.strip())
    return sections


@pytest.mark.parametrize("as_root", [True, False])
def test_the_unit_is_well_formed(stack: Stack, tmp_path: Path, *, as_root: bool) -> None:
    """By a parser of our own, and by systemd's checker where this machine has it: it must have nothing to say."""
    text = boot.render(stack, as_root=as_root)
    unit = parsed(text)
    assert set(unit) == {"Unit", "Service", "Install"}
    assert unit["Service"]["ExecStart"][0].endswith("-m nasos up")
    assert unit["Service"]["ExecStop"][0].endswith("-m nasos down")
    assert unit["Service"]["NoNewPrivileges"] == ["yes"]
    assert unit["Service"]["LimitCORE"] == ["0"]
    assert ("ProtectSystem" in unit["Service"]) is as_root
    assert unit["Install"]["WantedBy"] == ["multi-user.target" if as_root else "default.target"]
    path = tmp_path / "nasos-0a1b2c3d.service"
    path.write_text(text)
    if shutil.which("systemd-analyze"):
        command = ["systemd-analyze", "verify", "--man=no", *([] if as_root else ["--user"]), str(path)]
        done = subprocess.run(
            command, env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_checker_is_no_rubber_stamp(stack: Stack, tmp_path: Path) -> None:
    """The negative twin: a misspelt key is noticed."""
    text = boot.render(stack, as_root=True).replace("NoNewPrivileges=", "NoNewPriviledges=")
    path = tmp_path / "nasos.service"
    path.write_text(text)
    assert "NoNewPrivileges" not in parsed(text)["Service"]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
        )
        assert "NoNewPriviledges" in done.stderr


def test_the_unit_holds_paths_and_no_secret(stack: Stack) -> None:
    """Its environment is three paths; what it may write to is the state, the key's directory and the second log."""
    second = structs.replace(stack.settings.housekeeping, second_audit_dir="/srv/other/audit")
    stack = replace(stack, settings=replace(stack.settings, housekeeping=second))
    unit = parsed(boot.render(stack, as_root=True))["Service"]
    names = {each.strip('"').partition("=")[0] for each in unit["Environment"]}
    assert names <= {"NASOS_HOME", "NASOS_PROJECT", "NASOS_KEY_DIR"}
    assert unit["RuntimeDirectory"] == ["nasos"]  # for a key that systemd passes; all else of /run is read-only
    [writable] = unit["ReadWritePaths"]
    key_dir = stack.settings.key_dir
    assert writable.removesuffix(" /tmp") == f'"{stack.settings.home}" "/srv/other/audit" "{key_dir}"'


@pytest.mark.parametrize(
    ("home", "python", "private"),
    [
        ("/srv/nasos", "/opt/nasos/.venv/bin/python", "yes"),
        ("/tmp/nasos", "/opt/nasos/.venv/bin/python", "no"),  # noqa: S108  as somebody who tries it out has it
        ("/srv/nasos", "/var/tmp/nasos/.venv/bin/python", "no"),  # noqa: S108
    ],
)
def test_what_lies_in_tmp_is_not_hidden_from_its_own_unit(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, home: str, python: str, private: str
) -> None:
    """systemd would answer 203/EXEC or 226/NAMESPACE; /tmp is then shared, and writable for supervisord."""
    monkeypatch.setattr(sys, "executable", python)
    settings = replace(stack.settings, home=Path(home), key_dir=Path("/etc/nasos/x"), project=None)
    placed = replace(stack, settings=settings, home=Home(Path(home), stack.home.users))
    unit = parsed(boot.render(placed, as_root=True))["Service"]
    assert unit["PrivateTmp"] == [private]
    assert (unit["ReadWritePaths"][0].split()[-1] == "/tmp") is (private == "no")  # noqa: S108


def test_a_path_that_systemd_would_expand_is_refused(stack: Stack) -> None:
    """`%` begins a specifier."""
    odd = replace(stack, home=Home(Path("/srv/100%h"), stack.home.users))
    with pytest.raises(StackError, match="'%'"):
        boot.render(odd, as_root=True)


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes down what it is told; a file beside it makes it refuse."""
    programs = tmp_path / "bin"
    programs.mkdir()
    told = tmp_path / "told"
    told.touch()
    script = programs / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> "{told}"\n'
        f'[ ! -e "{tmp_path}/refuse" ] || {{ echo "Failed to do it." >&2; exit 1; }}\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return told


def test_it_is_enabled_and_taken_away_again(stack: Stack, tmp_path: Path, systemctl: Path) -> None:
    """A private user's unit: written, enabled, said what lingering means; removed without a trace."""
    made = Boot("nasos-0a1b2c3d.service", tmp_path / "units" / "nasos-0a1b2c3d.service", as_root=False)
    said = boot.install(stack, made)
    assert made.path.read_text() == boot.render(stack, as_root=False)
    assert any("enable-linger" in text for text in said)
    assert boot.install(stack, made)[0] == said[0]
    boot.remove(stack, made)
    assert not made.path.exists()
    assert boot.remove(stack, made) == ["it was not started at boot"]
    own = ["--user daemon-reload", f"--user enable {made.name}"]
    assert systemctl.read_text().splitlines() == [*own, *own, f"--user disable {made.name}", "--user daemon-reload"]


def test_what_systemd_refuses_is_said(stack: Stack, tmp_path: Path, systemctl: Path) -> None:
    """Its own word, and the command that it refused."""
    (tmp_path / "refuse").touch()
    made = Boot("x.service", tmp_path / "units" / "x.service", as_root=True)
    with pytest.raises(StackError, match="systemd refused: failed to do it") as refused:
        boot.install(stack, made)
    assert refused.value.hint == "systemctl daemon-reload"
    assert systemctl.read_text() == "daemon-reload\n"


def test_without_systemd_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nasos up --at-boot` ends with a plain error before it makes anything."""
    monkeypatch.setenv("NASOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["up", "--at-boot"]) == 3
    said = capsys.readouterr().err
    assert "does not run systemd" in said
    assert "-m nasos up" in said
    assert not (tmp_path / "home").exists()
