"""The loop that starts the looks, and whether a look has to ask Vault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

import nasos
from fixtures.stack import until
from nasos.errors import ProgramFailed
from nasos.settings import load
from nasos.stack import clock
from nasos.stack.rotator import state
from nasos.stack.rotator.__main__ import soon
from nasos.stack.rotator.duties import Duties
from nasos.stack.rotator.report import proven
from nasos.stack.rotator.state import ASK_AGAIN, State, has_to_ask

LOOP = Path(nasos.__file__).parent / "stack" / "rotator" / "loop.sh"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CALM = State(looked=NOW, asked=NOW, next=NOW + timedelta(days=1), duties="x")


def looking(tmp_path: Path, seconds: str, command: str) -> list[str]:
    """The loop over a command of the shell's, in a directory of its own."""
    return ["/bin/sh", str(LOOP), seconds, "/bin/sh", "-c", f"cd {tmp_path}; {command}"]


def test_it_looks_again_and_again(tmp_path: Path) -> None:
    """Also when a look fails."""
    with subprocess.Popen(looking(tmp_path, "0.05", "echo look >> looks; exit 3")) as loop:
        until(lambda: (tmp_path / "looks").exists() and len((tmp_path / "looks").read_text().split()) >= 3)
        loop.terminate()
        assert loop.wait(60) == 0


@pytest.mark.parametrize(("seconds", "pauses"), [("300", ["30", "300", "30"]), ("20", ["20", "20", "20"])])
def test_after_a_look_that_failed_it_waits_less(tmp_path: Path, seconds: str, pauses: list[str]) -> None:
    """30 seconds, or what it waits anyway; killed counts as failed, and one good look ends it."""
    (tmp_path / "sleep").write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/pauses\n[ -e {tmp_path}/last ] && exec /bin/sleep 600\n'
    )
    (tmp_path / "sleep").chmod(0o755)
    looks = "[ -e b ] && touch last && kill -9 $$; [ -e a ] && touch b && exit 0; touch a; exit 75"
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(looking(tmp_path, seconds, looks), env=os.environ | path) as loop:
        until(lambda: (tmp_path / "pauses").exists() and len((tmp_path / "pauses").read_text().split()) == len(pauses))
        loop.terminate()
        assert loop.wait(60) == 0
    assert (tmp_path / "pauses").read_text().split() == pauses


@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        (None, CALM, False),
        (CALM, CALM, False),
        (None, State(looked=NOW, error="vault is sealed"), True),
        (CALM, structs.replace(CALM, error="vault is sealed"), True),
        (structs.replace(CALM, error="vault is sealed"), structs.replace(CALM, error="vault is sealed"), True),
        (CALM, structs.replace(CALM, asked=NOW + ASK_AGAIN, error="one target is away"), True),
        (structs.replace(CALM, error="x"), structs.replace(CALM, asked=NOW + ASK_AGAIN, error="x"), False),
        (structs.replace(CALM, error="x"), structs.replace(CALM, asked=NOW + ASK_AGAIN), False),
    ],
)
def test_a_look_is_repeated_soon_until_vault_answers_and_once_for_a_target(
    before: State | None, after: State, *, again: bool
) -> None:
    """Each try at a target is on record twice: a target that stays away is not tried every 30 seconds."""
    assert soon(before, after) is again


def test_told_to_end_it_finishes_the_look(tmp_path: Path) -> None:
    """A rotation may be in the middle of it; nothing new is begun then."""
    command = "touch begun; while [ ! -e go ]; do sleep 0.05; done; echo done >> looks"
    with subprocess.Popen(looking(tmp_path, "0.05", command)) as loop:
        until((tmp_path / "begun").exists)
        loop.send_signal(signal.SIGTERM)
        assert loop.poll() is None
        (tmp_path / "go").touch()
        assert loop.wait(60) == 0
    assert (tmp_path / "looks").read_text() == "done\n"


def test_told_to_end_while_it_waits_it_ends_at_once(tmp_path: Path) -> None:
    """Not after five minutes; and its sleep with it."""
    with subprocess.Popen(looking(tmp_path, "600", "touch looked")) as loop:
        children = Path(f"/proc/{loop.pid}/task/{loop.pid}/children")
        sleeping = until(
            lambda: (
                (tmp_path / "looked").exists()
                and next((pid for pid in children.read_text().split() if _command(pid) == "sleep"), None)
            )
        )
        loop.terminate()
        assert loop.wait(60) == 0
    until(lambda: _command(sleeping) != "sleep")


def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    """The parent is killed with -9: the loop looks at it after each look, and goes."""
    code = f"import subprocess, time; p = subprocess.Popen({looking(tmp_path, '0.05', 'touch looked')!r}); print(p.pid, flush=True); time.sleep(600)"  # noqa: E501
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        loop = parent.stdout.readline().strip()
        until((tmp_path / "looked").exists)
        parent.kill()
    until(lambda: _command(loop) != "sh")


def _command(pid: str) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return "" if stat.rpartition(")")[2].split()[0] == "Z" else stat.partition("(")[2].rpartition(")")[0]


@pytest.mark.parametrize(
    ("known", "later", "left_open", "asks"),
    [
        (CALM, timedelta(minutes=5), False, False),
        (CALM, timedelta(minutes=5), True, True),
        (CALM, ASK_AGAIN, False, True),
        (CALM, timedelta(minutes=-1), False, True),
        (State(looked=NOW, duties="x"), timedelta(), False, True),
        (State(looked=NOW, asked=NOW, error="vault is sealed", duties="x"), timedelta(minutes=5), False, True),
        (State(looked=NOW, asked=NOW, next=NOW, duties="x"), timedelta(), False, True),
        (State(looked=NOW, asked=NOW, duties="other orders"), timedelta(minutes=5), False, True),
        (State(looked=NOW, asked=NOW, duties="x"), timedelta(minutes=5), False, False),
    ],
)
def test_vault_is_asked_only_when_there_is_something_to_ask(
    known: State, later: timedelta, *, left_open: bool, asks: bool
) -> None:
    """Something is due, was left open or failed, an hour has passed, the clock jumped back, or the orders changed."""
    assert has_to_ask(known, NOW + later, "x", left_open=left_open) is asks


def test_a_damaged_state_is_none(tmp_path: Path) -> None:
    """The next look begins anew; what was written can be read."""
    assert state.read(tmp_path) is None
    (tmp_path / state.NAME).write_text("{")
    assert state.read(tmp_path) is None
    state.write(tmp_path, CALM)
    assert state.read(tmp_path) == CALM
    assert (tmp_path / state.NAME).stat().st_mode & 0o077 == 0


def test_the_orders_are_the_settings_of_that_time(tmp_path: Path) -> None:
    """Bot, seal, timetable; no secret, nothing of the environment."""
    (tmp_path / "nasos.toml").write_text('[rotation.schedule]\n"bots/*/db" = { every = "8w" }\n[bot]\nname = "other"\n')
    told = load({"NASOS_HOME": str(tmp_path), "VAULT_TOKEN": "hvs.x" * 8, "VAULT_ADDR": "https://v:1"}, tmp_path)
    text = Duties.of(told, tmp_path / "key").encode()
    assert "hvs.x" not in text
    again = Duties.decode(text).settings()
    assert (again.home, again.bot, again.rotation) == (told.home, told.bot, told.rotation)
    assert (again.key_dir, again.vault_connection) == (tmp_path / "key", None)
    assert os.environ.get("VAULT_TOKEN") is None


@pytest.mark.parametrize("wall", [-3600.0, 0.0, 3600.0])
def test_a_clock_that_is_set_makes_a_look_neither_old_nor_young(tmp_path: Path, wall: float) -> None:
    """Looked a minute ago is well, an hour ago is not, whatever the wall clock said at the time."""
    for age, well in ((60.0, True), (3600.0, False)):
        now = clock.read(datetime.now(UTC), clock.boot())
        moment = structs.replace(now, wall=now.wall + wall - age, running=now.running - age)
        looked = datetime.fromtimestamp(moment.wall, UTC)
        state.write(tmp_path, State(looked=looked, asked=looked, moment=moment, duties="x"))
        if well:
            assert "0 secrets" in proven(tmp_path)
            continue
        with pytest.raises(ProgramFailed, match=r"its last look was 36\d\d s ago"):
            proven(tmp_path)


def test_a_look_without_a_moment_proves_nothing(tmp_path: Path) -> None:
    """Written by an older version."""
    state.write(tmp_path, CALM)
    with pytest.raises(ProgramFailed, match="cannot be told"):
        proven(tmp_path)
