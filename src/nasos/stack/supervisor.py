"""supervisord: start it, ask it, stop it, and end what a killed one left behind.

Rules: programs start only when ``up`` says so (order matters), and come back by themselves when they die; each
records who it is first (``recorded``), so that after ``kill -9`` of supervisord exactly those processes can be ended.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nasos.errors import ProgramFailed, StackError
from nasos.files import PRIVATE, atomic_write
from nasos.settings import child_environment
from nasos.stack.home import Home
from nasos.stack.log import Log, reason
from nasos.stack.program import Program, render
from nasos.stack.recorded import end_recorded, prelude

START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What supervisord says of one program."""

    name: str
    state: str
    """``running``, ``starting``, ``backoff``, ``stopped``, ``exited``, ``fatal`` ..."""
    pid: int | None
    uptime: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a running supervisord was told anew and what that left open."""

    stale: Mapping[str, int]
    """Programs that run on as they were started, though they would start in another way now; and their pids."""
    gone: tuple[str, ...]
    """Programs that are not wanted any more; stopped only by `Supervisor.forget`."""


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over supervisord's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        path = self._path

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(60)
                try:
                    self.sock.connect(str(path))
                except OSError:
                    self.close()
                    raise

        connection = Connection("localhost")
        self._connection = None, connection  # where close() looks for it
        return connection


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def running(self) -> bool:
        """Whether this stack's supervisord answers."""
        try:
            self._call("getState")
        except StackError:
            return False
        return True

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401  XML-RPC answers are untyped
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self._home.socket)) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"supervisord refused {method}: {fault.faultString}", "./nasos status") from None
        except (OSError, http.client.HTTPException) as error:
            gone = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            text = "the stack is not running" if gone else f"supervisord does not answer: {type(error).__name__}"
            raise StackError(text, "./nasos up") from None

    def start(self, programs: Sequence[Program]) -> None:
        """Start supervisord with these programs, all still stopped.

        Raises:
            ProgramFailed: It did not answer in time.
        """
        conf = self._write(programs)
        command = prelude(
            self._home, "supervisord", [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
        )
        errors_path = self._home.log / "supervisord.err"
        said = Log(errors_path)
        with os.fdopen(os.open(errors_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE), "ab") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=child_environment(),
                start_new_session=True, cwd="/", umask=0o077,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.running():
            if process.poll() is not None or time.monotonic() > deadline:
                why = reason(said.new().splitlines()) or "it does not answer"
                raise ProgramFailed(f"supervisord did not start: {why}", f"tail {errors_path}")
            time.sleep(0.02)
        process.returncode = 0  # it outlives us: nothing to wait for, nor to warn about

    def _write(self, programs: Sequence[Program]) -> Path:
        conf = self._home.root / "run" / "supervisord.conf"
        atomic_write(conf, render(self._home, programs).encode())
        return conf

    def learn(self, programs: Sequence[Program]) -> Learned:
        """Tell a running supervisord what there is to supervise from now on; what runs, runs on as it is."""
        self._write(programs)
        [[added, changed, removed]] = self._call("reloadConfig")
        for name in added:
            self._call("addProcessGroup", name)
        pids = {name: state.pid for name, state in self.states().items()}
        for name in changed:
            if pids[name] is None:
                self.renew(name)
        return Learned({name: pid for name in changed if (pid := pids[name])}, tuple(removed))

    def renew(self, name: str) -> None:
        """Stop a program; its next start is the one that was learned."""
        self.forget(name)
        self._call("addProcessGroup", name)

    def forget(self, name: str) -> None:
        """Stop a program, and know it no more."""
        self.stop(name)
        self._call("removeProcessGroup", name)

    def states(self) -> dict[str, ProgramState]:
        """What runs, by name."""
        states = {}
        for info in self._call("getAllProcessInfo"):
            pid = int(info["pid"]) or None
            states[str(info["name"])] = ProgramState(
                name=str(info["name"]),
                state=str(info["statename"]).lower(),
                pid=pid,
                uptime=float(info["now"] - info["start"]) if pid else 0.0,
            )
        return states

    def launch(self, name: str) -> bool:
        """Start a program unless it runs; return whether it was started now."""
        state = self.states()[name].state
        if state in ("running", "starting"):
            return False
        if state == "backoff":  # it waits between two tries with what it was started with; now is better
            self.stop(name)
        self._call("startProcess", name, False)
        return True

    def stop(self, name: str) -> None:
        """Stop a program and wait for its end."""
        if self.states()[name].state in ("running", "starting", "backoff"):
            self._call("stopProcess", name, True)

    def signal(self, name: str, number: int) -> None:
        """Send a running program a signal; one that is not known does not run."""
        state = self.states().get(name)
        if state is not None and state.pid is not None:
            self._call("signalProcess", name, str(int(number)))

    def shutdown(self) -> None:
        """End supervisord, and with it everything that still runs; wait for it."""
        pid = int(self._call("getPID"))
        self._call("shutdown")
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)

    def end_orphans(self) -> list[str]:
        """End the recorded processes of a supervisord that is gone; return their names."""
        # supervisord first: a hung one would start the others again. The bot next: it trades.
        order = (
            "supervisord", "companion", "rotator", "bot", "nginx", "gateway", "exchange", "postgres", "vault",
            "housekeeping", "watcher",
        )  # fmt: skip
        polite = {"postgres": signal.SIGINT}
        return [name for name in order if end_recorded(self._home, name, polite.get(name, signal.SIGTERM))]


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
