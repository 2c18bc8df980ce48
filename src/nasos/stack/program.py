"""One supervised program, and how supervisord is told of it.

Rules: nothing starts by itself and everything comes back by itself (``up`` decides on the order, a crash on nothing);
each program writes down who it is first (``recorded``).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nasos.errors import StackError
from nasos.stack.home import Home
from nasos.stack.recorded import prelude

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
