"""Recorded processes: exactly those are ended, nobody who merely has their number."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.stack import until
from nasos.files import private_directory
from nasos.stack.home import Home
from nasos.stack.recorded import end_recorded, prelude, recorded_pid
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users

PROGRAMS = ("supervisord", "vault", "exchange", "postgres", "bot", "nginx")
Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Run directories, one user for all."""
    home = Home(tmp_path, Users(separate=False))
    for name in PROGRAMS:
        private_directory(home.run(name))
    return home


@pytest.fixture
def begin(home: Home) -> Iterator[Begin]:
    """Start a program by the prelude and wait for its record; all are ended."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str, recorded: bool = True) -> subprocess.Popen[bytes]:
        words = command or ("sleep", "300")
        started.append(subprocess.Popen(prelude(home, name, words) if recorded else words))
        if recorded:
            until(lambda: recorded_pid(home, name) == started[-1].pid, 10)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _record(home: Home, name: str = "vault") -> Path:
    return home.run(name) / "process"


def test_a_recorded_process_is_found_as_the_program_that_it_became(home: Home, begin: Begin) -> None:
    """Same pid before and after exec, and no core dump."""
    process = begin("vault")
    until(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"sleep"), 10)
    assert recorded_pid(home, "vault") == process.pid
    assert "Max core file size        0                    0" in Path(f"/proc/{process.pid}/limits").read_text()


def test_a_reused_pid_is_nobodys(home: Home, begin: Begin) -> None:
    """The number of a stranger with another start time: neither found nor ended."""
    begin("vault")
    stranger = begin("", "sleep", "300", recorded=False)
    first, boot = _record(home).read_text().splitlines()
    _record(home).write_text(f"{stranger.pid} {first.split(' ', 1)[1]}\n{boot}\n")
    os.kill(int(first.split(" ", 1)[0]), signal.SIGKILL)
    assert recorded_pid(home, "vault") is None
    assert Supervisor(home).end_orphans() == []
    assert stranger.poll() is None


def test_a_record_of_another_boot_is_nobodys(home: Home, begin: Begin) -> None:
    """Pid and start time may well be the same after a reboot."""
    process = begin("vault")
    stat = _record(home).read_text().splitlines()[0]
    _record(home).write_text(f"{stat}\n00000000-0000-0000-0000-000000000000\n")
    assert not end_recorded(home, "vault")
    assert process.poll() is None


def test_a_zombie_has_ended(home: Home, begin: Begin) -> None:
    """Its parent has not asked yet; there is nothing to end."""
    process = begin("vault")
    process.kill()
    until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", 10)
    assert recorded_pid(home, "vault") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"\n\n", b"12", b"1 (sh) S\n", b"1 (sh) S 1\nboot\n", b" \n \n", b"-1 x\ny\n", b"\xff\n\xff\n",
     b"a\nb\nc\n"],
)  # fmt: skip
def test_a_torn_record_is_nobodys(home: Home, content: bytes) -> None:
    """Killed in mid-write: no error, and nobody is ended for it."""
    _record(home).write_bytes(content)
    assert recorded_pid(home, "vault") is None
    assert Supervisor(home).end_orphans() == []


def test_every_part_of_a_true_record_is_needed(home: Home, begin: Begin) -> None:
    """Cut off anywhere, it names nobody, or the very process."""
    process = begin("vault")
    whole = _record(home).read_bytes()
    for length in range(len(whole)):
        _record(home).write_bytes(whole[:length])
        assert recorded_pid(home, "vault") in (None, process.pid)
        if length < whole.rindex(b"\n"):
            assert recorded_pid(home, "vault") is None


def test_a_pipe_or_a_link_in_place_of_the_record_is_not_waited_for(home: Home, begin: Begin) -> None:
    """What a service could put there when the stack runs as root."""
    begin("bot")
    os.mkfifo(_record(home))
    assert recorded_pid(home, "vault") is None
    _record(home).unlink()
    _record(home).symlink_to(_record(home, "bot"))
    assert recorded_pid(home, "vault") is None


def test_a_service_cannot_name_another_users_process(home: Home, begin: Begin) -> None:
    """As root: a record that a service forged about a foreign process ends nobody."""
    process = begin("vault")
    theirs = Home(home.root, Users(separate=True))
    if os.geteuid() == 0:
        theirs.users.ensure()
    assert recorded_pid(theirs, "vault") is None
    assert not end_recorded(theirs, "vault")
    assert process.poll() is None


def test_exactly_the_recorded_ones_are_ended(home: Home, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """All six, politely; one that does not listen by force; a stranger beside them lives on."""
    processes = {name: begin(name) for name in PROGRAMS if name != "nginx"}
    processes["nginx"] = begin("nginx", "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    stranger = begin("", "sleep", "300", recorded=False)
    monkeypatch.setattr("nasos.stack.recorded.PATIENCE_SECONDS", 0.5)
    assert sorted(Supervisor(home).end_orphans()) == sorted(PROGRAMS)
    assert processes["nginx"].wait(10) == -signal.SIGKILL
    assert processes["postgres"].wait(10) == -signal.SIGINT
    assert processes["vault"].wait(10) == -signal.SIGTERM
    assert stranger.poll() is None
    assert Supervisor(home).end_orphans() == []
