"""The real supervisord in a directory with an inconvenient name: paths, ends, restarts, and giving up."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fixtures.stack import until
from nasos.errors import StackError
from nasos.files import private_directory
from nasos.stack.home import Home
from nasos.stack.log import Log
from nasos.stack.program import Program
from nasos.stack.recorded import recorded_pid
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users
from nasos.stack.watch import Watch

AWKWARD = "(ü), $HOME & more = [1]"


@pytest.fixture
def home() -> Iterator[Home]:
    """A state directory whose name has blanks, a dollar and brackets."""
    # Short, and not pytest's: a socket has to fit into it.
    with tempfile.TemporaryDirectory(prefix="n-") as place:
        home = Home(Path(place) / AWKWARD, Users(separate=False))
        home.prepare("nasos")
        yield home


Begin = Callable[..., Supervisor]


@pytest.fixture
def begin(home: Home) -> Iterator[Begin]:
    """Start supervisord with programs by name; it is shut down at the end."""
    supervisor = Supervisor(home)

    def start(**commands: list[str]) -> Supervisor:
        for name in commands:
            private_directory(home.run(name))
        environment = {"SAID": AWKWARD, "PLAIN": "a,b=c"}
        supervisor.start([Program(name, command, environment=environment) for name, command in commands.items()])
        return supervisor

    yield start
    if supervisor.running():
        supervisor.shutdown()


def test_paths_arguments_and_environment_arrive_as_they_are(begin: Begin, home: Home) -> None:
    """Blanks, percent signs, brackets: nothing is expanded, split or cut."""
    tell = "import os,sys; print(ascii([sys.argv[1:], os.environ['SAID'], os.environ['PLAIN']]), flush=True)"
    supervisor = begin(vault=[sys.executable, "-c", tell, str(home.root), "%(ENV_HOME)s", 'it\'s "b"'])
    assert supervisor.states()["vault"].state == "stopped"
    assert supervisor.launch("vault")
    log = home.log / "vault.log"
    told = until(lambda: log.exists() and log.read_text(), 10)
    assert told.splitlines()[0] == ascii([[str(home.root), "%(ENV_HOME)s", 'it\'s "b"'], AWKWARD, "a,b=c"])


def test_a_value_that_supervisord_cannot_hold_is_refused(home: Home) -> None:
    """It has no escape for quotes in an environment."""
    program = Program("vault", ["sleep", "300"], environment={"X": "it's"})
    with pytest.raises(StackError, match="supervisord's configuration"):
        Supervisor(home).start([program])


def test_a_killed_program_comes_back_and_a_stopped_one_does_not(begin: Begin) -> None:
    """Stopping twice and starting twice are nothing."""
    supervisor = begin(vault=["sleep", "300"])
    assert supervisor.launch("vault")
    pid = until(lambda: supervisor.states()["vault"].pid, 10)
    assert not supervisor.launch("vault")
    until(lambda: supervisor.states()["vault"].state == "running", 10)
    os.kill(pid, signal.SIGKILL)
    until(lambda: supervisor.states()["vault"].pid not in (None, pid), 10)
    supervisor.stop("vault")
    supervisor.stop("vault")
    assert supervisor.states()["vault"].state == "stopped"


def test_a_program_that_waits_for_its_next_try_is_started_at_once(begin: Begin, home: Home) -> None:
    """What was wrong is mended; `up` does not wait for supervisord's patience, nor is it refused."""
    mended = home.root / "mended"
    supervisor = begin(vault=["/bin/sh", "-c", 'test -e "$0" || exit 1; exec sleep 300', str(mended)])
    assert supervisor.launch("vault")
    until(lambda: supervisor.states()["vault"].state == "backoff", 10)
    mended.touch()
    assert supervisor.launch("vault")
    until(lambda: supervisor.states()["vault"].state == "running", 10)


def pid_of(supervisor: Supervisor, name: str) -> int:
    """The pid of a program that was launched."""
    pid: int = until(lambda: supervisor.states()[name].pid, 10)
    return pid


def running(command_line: Path, argument: str) -> bool:
    """Whether the shell before a program has become it."""
    return command_line.read_text() == f"sleep\0{argument}\0"


def test_what_runs_runs_on_when_the_programs_are_others_now(begin: Begin, home: Home) -> None:
    """Learned while it runs: stopped ones are replaced, new ones known, running ones told apart; renewed on demand."""
    supervisor = begin(vault=["sleep", "300"], bot=["sleep", "301"], exchange=["sleep", "302"], nginx=["sleep", "303"])
    for name in ("vault", "bot", "exchange"):
        supervisor.launch(name)
    pids = {name: pid_of(supervisor, name) for name in ("vault", "bot", "exchange")}
    private_directory(home.run("postgres"))
    wanted = {"vault": "300", "bot": "401", "nginx": "403", "postgres": "404"}
    learned = supervisor.learn([
        Program(name, ["sleep", seconds], environment={"SAID": AWKWARD, "PLAIN": "a,b=c"})
        for name, seconds in wanted.items()
    ])  # fmt: skip
    assert learned.stale == {"bot": pids["bot"]}
    assert learned.gone == ("exchange",)
    assert {name: supervisor.states()[name].pid for name in pids} == pids
    supervisor.forget("exchange")
    supervisor.renew("bot")
    assert set(supervisor.states()) == set(wanted)
    for name, seconds in wanted.items():
        supervisor.launch(name)
        started = Path(f"/proc/{pid_of(supervisor, name)}/cmdline")
        until(partial(running, started, seconds), 10)
    assert supervisor.states()["vault"].pid == pids["vault"]


def test_a_program_that_keeps_ending_is_given_up_with_its_reason(begin: Begin, home: Home) -> None:
    """Two ends are enough; the reason is from its log, and from after the watch began."""
    bad = ["/bin/sh", "-c", "echo 'nginx: [emerg] 1#1: no such page'; sleep 0.1; exit 1"]
    supervisor = begin(vault=bad, bot=["sleep", "300"])
    (home.log / "vault.log").write_text("nginx: [emerg] an old story\n")
    watch = Watch(supervisor, "vault", Log(home.log / "vault.log"))
    assert watch.reason() is None
    supervisor.launch("vault")
    supervisor.launch("bot")
    well = Watch(supervisor, "bot", Log(home.log / "bot.log"))
    assert until(watch.gave_up, 20) == "it ended 2 times"
    assert watch.reason() == "no such page"
    assert well.gave_up() is None
    assert well.reason() is None


def test_a_launcher_whose_bot_fails_is_given_up(begin: Begin, home: Home) -> None:
    """The launcher's own process stays; its words are counted, and freqtrade's are quoted."""
    says = (
        "for n in 1 2 3; do echo 'x - freqtrade - ERROR - Impossible to load Strategy.';"
        ' echo "nasos: nasos: ended (exit 2); starts again in $n s"; sleep 0.2; done; exec sleep 300'
    )
    supervisor = begin(bot=["/bin/sh", "-c", says])
    watch = Watch(supervisor, "bot", Log(home.log / "bot.log"))
    supervisor.launch("bot")
    assert str(until(watch.gave_up, 20)).startswith("it ended ")
    assert watch.reason() == "Impossible to load Strategy"


def test_a_stopped_program_is_not_waited_for(begin: Begin, home: Home) -> None:
    """Somebody stopped it meanwhile."""
    supervisor = begin(vault=["sleep", "300"])
    assert Watch(supervisor, "vault", Log(home.log / "vault.log")).gave_up() == "it is stopped"


def test_without_supervisord_it_is_said_what_to_do(home: Home) -> None:
    """Never started, and killed."""
    supervisor = Supervisor(home)
    assert not supervisor.running()
    with pytest.raises(StackError, match="the stack is not running") as caught:
        supervisor.states()
    assert caught.value.hint == "./nasos up"
    private_directory(home.run("vault"))
    supervisor.start([Program("vault", ["sleep", "300"])])
    pid = int((home.run("supervisord") / "process").read_text().split(" ", 1)[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not supervisor.running() and recorded_pid(home, "supervisord") is None, 10)
    with pytest.raises(StackError, match="the stack is not running"):
        supervisor.states()
    assert supervisor.end_orphans() == []
