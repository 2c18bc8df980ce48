"""supervisord: start it, ask it, stop it, and end what a killed one left behind.

Rules: programs start only when ``up`` says so (order matters), and come back by themselves when they die; each
records who it is first (``recorded``), so that after ``kill -9`` of supervisord exactly those processes can be ended.
"""

from __future__ import annotations

import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nasos.errors import ProgramFailed, StackError
from nasos.files import PRIVATE, atomic_write
from nasos.settings import child_environment
from nasos.stack.home import Home
from nasos.stack.log import Log, reason
from nasos.stack.recorded import end_recorded, prelude

START_SECONDS: Final = 10.0
STOP_SECONDS: Final = 20.0
ROLL_BYTES: Final = 10 << 20
"""Of a program's output before a new file is begun."""


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised program."""

    name: str
    command: Sequence[str]
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 15
    reload_signal: int | None = None
    """Signal that makes it read renewed certificates or configuration."""
    environment: Mapping[str, str] = field(default_factory=dict)
    listener: bool = False
    """Whether supervisord tells it what the other programs do; its standard output is then their protocol."""


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What supervisord says of one program."""

    name: str
    state: str
    """``running``, ``starting``, ``backoff``, ``stopped``, ``exited``, ``fatal`` ..."""
    pid: int | None
    uptime: float
    """Seconds."""


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
        conf = self._home.root / "run" / "supervisord.conf"
        atomic_write(conf, render(self._home, programs).encode())
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
        """Send a running program a signal."""
        if self.states()[name].pid is not None:
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
        order = ("supervisord", "rotator", "bot", "nginx", "exchange", "postgres", "vault", "housekeeping", "watcher")
        polite = {"postgres": signal.SIGINT}
        return [name for name in order if end_recorded(self._home, name, polite.get(name, signal.SIGTERM))]


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def render(home: Home, programs: Sequence[Program]) -> str:
    """The configuration of supervisord."""
    lines = [
        "; Written by nasos up.",
        "[unix_http_server]",
        f"file = {_percent(str(home.socket))}",
        "chmod = 0700",
        "[supervisord]",
        f"logfile = {_percent(str(home.log / 'supervisord.log'))}",
        f"logfile_maxbytes = {ROLL_BYTES}",
        "logfile_backups = 3",
        f"pidfile = {_percent(str(home.run('supervisord') / 'supervisord.pid'))}",
        f"childlogdir = {_percent(str(home.log))}",
        "umask = 077",
        "silent = true",  # the log file has it; stderr is for what goes wrong before that
        *(["user = root"] if home.users.separate else []),
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        command = shlex.join(prelude(home, program.name, program.command))
        environment = ",".join(f"{name}={_quoted(value)}" for name, value in program.environment.items())
        lines += [
            f"[{'eventlistener' if program.listener else 'program'}:{program.name}]",
            f"command = {_percent(command)}",
            *([f"environment = {_percent(environment)}"] if environment else []),
            *([f"user = {program.user}"] if program.user else []),
            "directory = /",
            "autostart = false",
            "autorestart = true",
            "startsecs = 1",
            "startretries = 30",
            f"stopsignal = {program.stop_signal}",
            f"stopwaitsecs = {program.stop_seconds}",
            *_output(program, home),
        ]
    return "\n".join(lines) + "\n"


def _output(program: Program, home: Home) -> list[str]:
    # It rolls over by itself, also where nobody keeps house; what it put aside is then compressed.
    stream = "stderr" if program.listener else "stdout"
    return [
        f"{stream}_logfile = {_percent(str(home.log / (program.name + '.log')))}",
        f"{stream}_logfile_maxbytes = {ROLL_BYTES}",
        f"{stream}_logfile_backups = 3",
        # While the watcher is started anew, what happens is kept for it.
        *(["events = PROCESS_STATE", "buffer_size = 1000", "stdout_logfile = NONE"] if program.listener else []),
        *([] if program.listener else ["redirect_stderr = true"]),
    ]


def _percent(text: str) -> str:
    # supervisord expands %(name)s in every value; a literal percent sign is doubled.
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    # supervisord knows no escape inside quotes, and strips both kinds from the ends; `up` lets no such path pass.
    if '"' in text or "'" in text:
        raise StackError(f"{text!r} cannot stand in supervisord's configuration", "choose a path without quotes")
    return f'"{text}"'
