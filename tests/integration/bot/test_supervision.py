"""Signals, exit codes, restarts, one bot per name, and nobody left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nasos.bot.lock import boot_id, start_time
from simulators.launched import Start, alive, eventually

SUPERVISOR = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[2:], close_fds=False)
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""
"""Starts a program and does nothing else."""

QUICK = {"first_delay": 0.01, "longest_delay": 0.02, "patience": 3}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_signal_becomes_one_sigterm_for_the_bot(start: Start, number: int) -> None:
    """The bot ends in its own way and its exit code is passed on."""
    launched = start()
    pid = launched.first()["pid"]
    assert launched.stop(number) == 130
    assert not alive(pid)
    assert [(e.event, e.outcome.value) for e in launched.events()] == [("bot.start", "ok"), ("bot.exit", "ok")]


def test_a_bot_that_does_not_listen_is_killed_after_the_grace(start: Start) -> None:
    """128 + 9."""
    launched = start("stubborn", grace=0.2)
    pid = launched.first()["pid"]
    assert launched.stop() == 137
    assert not alive(pid)


def test_a_second_signal_does_not_wait_for_the_grace(start: Start) -> None:
    """Whoever insists gets it at once."""
    launched = start("stubborn", grace=600)
    launched.first()
    launched.process.send_signal(signal.SIGTERM)

    def insisted() -> bool:
        launched.process.send_signal(signal.SIGTERM)
        return launched.process.poll() is not None

    eventually(insisted)
    assert launched.process.returncode == 137


@pytest.mark.parametrize("act", ["exit:1", "exit:0", "exit:2", "kill:9"])
def test_a_bot_that_keeps_ending_is_given_up(start: Start, act: str) -> None:
    """Also with exit 0, which freqtrade says of a configuration error: exit 3 after the third failed start."""
    launched = start(act, policy=QUICK)
    assert launched.process.wait(60) == 3
    assert len(launched.reports()) == 3
    assert "failed 3 times in a row" in launched.error.read_text()
    assert [e.detail["next"] for e in launched.events() if e.event == "bot.exit"] == ["restart", "restart", "given up"]


def test_a_bot_that_ran_for_a_while_is_started_again_for_ever(start: Start) -> None:
    """Failures count only when they come soon after the start."""
    launched = start("exit:1", policy={**QUICK, "quick": 0.0})
    eventually(lambda: len(launched.reports()) > 4)
    assert launched.process.poll() is None


def test_a_stop_between_two_starts_ends_the_launcher(start: Start) -> None:
    """Nothing is started any more."""
    launched = start("exit:1", policy={"first_delay": 600, "longest_delay": 600})
    eventually(lambda: "starts again" in launched.error.read_text())
    assert launched.stop() == 128 + signal.SIGTERM
    assert len(launched.reports()) == 1


@pytest.mark.parametrize(("act", "code"), [("exit:7", 7), ("exit:0", 3)])
def test_once_passes_the_exit_code_on(start: Start, act: str, code: int) -> None:
    """An unasked 0 of a trading bot is a failure all the same."""
    assert start(act, restart=False).process.wait(30) == code


@pytest.mark.parametrize(("act", "code"), [("exit:7", 7), ("exit:0", 0), ("kill:15", 143)])
def test_a_command_that_ends_by_itself_runs_once(start: Start, act: str, code: int) -> None:
    """``freqtrade show-config`` and the like: no restart, the exit code passed on, 0 is a success."""
    launched = start(act, "show-config")
    assert launched.process.wait(30) == code
    assert len(launched.reports()) == 1


def test_a_second_launcher_for_the_same_bot_is_refused(start: Start) -> None:
    """The first one and its bot go on; a command that ends by itself is allowed beside them."""
    first = start()
    first.first()
    second = start()
    assert second.process.wait(30) == 3
    assert f"already under way (pid {first.process.pid})" in second.error.read_text()
    assert not second.reports()
    assert start("exit:0", "show-config").process.wait(30) == 0
    assert first.process.poll() is None


def test_a_killed_launcher_takes_its_bot_along(start: Start) -> None:
    """Kill -9 of the launcher ends the bot; the next launcher gets the name."""
    launched = start()
    pid = launched.first()["pid"]
    launched.process.kill()
    launched.process.wait()
    eventually(lambda: not alive(pid))
    assert start().first()["pid"] != pid


def test_never_two_bots_when_launchers_are_killed_and_started_at_once(start: Start) -> None:
    """Each new launcher begins its work only when the last one's bot is gone, without any pause in between."""
    pids: list[int] = []
    for _ in range(8):
        launched = start()
        pid = launched.first()["pid"]
        assert not [old for old in pids if alive(old)]
        pids.append(pid)
        launched.process.kill()


def test_a_launcher_waits_for_a_bot_that_outlived_the_last_one(start: Start) -> None:
    """The recorded process must be gone, whatever held it up."""
    launched = start()
    pid = launched.first()["pid"]
    record = launched.home / "run" / "bot" / "testbot.child"
    recorded = record.read_bytes()
    assert f'"pid": {pid}'.encode() in recorded
    launched.stop()
    assert not record.exists()
    # A process that is alive and recorded, as if the kernel were slow to end it.
    left = subprocess.Popen(["sleep", "600"])
    try:
        record.write_text(json.dumps({"pid": left.pid, "start": start_time(left.pid), "boot": boot_id()}))
        waiting = start()
        eventually(lambda: (launched.home / "run/bot/testbot.lock").read_text().strip() == str(waiting.process.pid))
        assert not waiting.reports()
    finally:
        left.kill()
        left.wait()
    waiting.first()


def test_a_recorded_pid_that_is_somebody_else_now_is_not_waited_for(start: Start) -> None:
    """Pid alone proves nothing: start time and boot must agree."""
    launched = start()
    launched.first()
    launched.stop()
    record = launched.home / "run" / "bot" / "testbot.child"
    record.write_text(f'{{"pid": {os.getpid()}, "start": 1, "boot": "another"}}')
    start().first()


def test_the_launcher_ends_with_its_own_parent_when_asked(start: Start, tmp_path: Path) -> None:
    """Kill -9 of the supervisor: the launcher stops the bot in good order and goes."""
    pid_file = tmp_path / "pid"
    launched = start(wrapper=(sys.executable, "-c", SUPERVISOR, str(pid_file)), die_with_parent=True)
    bot = launched.first()["pid"]
    launcher = int(pid_file.read_text())
    launched.process.kill()
    eventually(lambda: not alive(launcher) and not alive(bot))
    assert [e.event for e in launched.events()] == ["bot.start", "bot.exit"]


def test_without_the_flag_the_launcher_outlives_its_parent(start: Start, tmp_path: Path) -> None:
    """The negative twin: a shell that ends does not end the bot."""
    pid_file = tmp_path / "pid"
    launched = start(wrapper=(sys.executable, "-c", SUPERVISOR, str(pid_file)))
    bot = launched.first()["pid"]
    launcher = int(pid_file.read_text())
    launched.process.kill()
    launched.process.wait()
    assert alive(launcher)
    assert alive(bot)
    os.kill(launcher, signal.SIGTERM)
    eventually(lambda: not alive(launcher))


def test_what_the_bot_left_in_its_group_ends_with_it(start: Start) -> None:
    """A forgotten worker process does not trade on, nor hold the output open."""
    launched = start("family")
    pid = launched.first()["pid"]
    workers = [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if group_of(int(entry.name)) == pid and int(entry.name) != pid
    ]
    assert workers
    launched.stop()
    eventually(lambda: not [worker for worker in workers if alive(worker)])


def test_a_bot_without_its_environment_is_a_clear_error(start: Start, tmp_path: Path) -> None:
    """The missing interpreter is named."""
    launched = start(python=str(tmp_path / "nowhere"))
    assert launched.process.wait(30) == 3
    assert f"cannot start {tmp_path}/nowhere: no such file" in launched.error.read_text()


def group_of(pid: int) -> int:
    """Process group, 0 when the process is gone."""
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0
