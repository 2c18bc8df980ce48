"""Landlock on the kernel that runs the test; a kernel without it is played by a real seccomp filter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasos.bot.command import parse
from nasos.bot.confinement import confinement, with_records
from nasos.bot.sandbox import TCP, Confinement, supported
from nasos.errors import BotError

ABI = supported()

TRY = """
import ctypes, json, os, socket, struct, subprocess, sys
from pathlib import Path
from nasos.bot.sandbox import Confinement, enter

def without_landlock():
    # ENOSYS for 444 to 446, everything else is allowed (seccomp(2)); fields: code, jump if true, if false, operand.
    code = [(0x20, 0, 0, 0), (0x35, 0, 2, 444), (0x25, 1, 0, 446), (6, 0, 0, 0x50026), (6, 0, 0, 0x7FFF0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in code))
    c = ctypes.CDLL(None, use_errno=True)
    assert c.prctl(38, 1, 0, 0, 0) == 0
    filter_ = struct.pack("@HP", len(code), ctypes.addressof(program))
    assert c.prctl(22, 2, ctypes.c_char_p(filter_), 0, 0) == 0

def outcome(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def connect(port):
    with socket.create_connection(("127.0.0.1", port), 5):
        pass

def listen(port):
    with socket.create_server(("127.0.0.1", port)):
        pass

request = json.loads(sys.argv[1])
if request.get("without"):
    without_landlock()
abi = enter(Confinement.decode(request["confinement"]))
said = {"abi": abi}
for name, (verb, what) in request["tries"].items():
    act = {
        "read": lambda: Path(what).read_bytes(),
        "write": lambda: Path(what).write_bytes(b"x"),
        "list": lambda: os.listdir(what),
        "connect": lambda: connect(what),
        "listen": lambda: listen(what),
        "run": lambda: subprocess.run([what], check=True),
        "signal": lambda: os.kill(what, 0),
    }[verb]
    said[name] = outcome(act)
print(json.dumps(said))
"""


def tried(sandbox: Confinement, *, without: bool = False, **tries: Any) -> dict[str, Any]:
    """What a confined process says of each try."""
    request = {"confinement": sandbox.encode(), "tries": tries, "without": without}
    done = subprocess.run(
        [sys.executable, "-I", "-c", TRY, json.dumps(request)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said.pop("abi") == (0 if without else ABI)
    return said


def refused(kind: str = "PermissionError", since: int = 1) -> str:
    """What the kernel of this machine should answer to what is not allowed."""
    return kind if since <= ABI else "done"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A place that is given, and one that is not."""
    for name in ("given", "kept", "read"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("content")
    return tmp_path


def test_files_that_were_not_given_are_refused(place: Path) -> None:
    """Reading, listing, writing; and what was given works as before."""
    sandbox = Confinement(read=(str(place / "read"), str(place / "absent")), write=(str(place / "given"),))
    said = tried(
        sandbox,
        reads_given=("read", str(place / "given/file")),
        makes_given=("write", str(place / "given/new")),
        changes_given=("write", str(place / "given/file")),
        reads_readable=("read", str(place / "read/file")),
        changes_readable=("write", str(place / "read/file")),
        reads_kept=("read", str(place / "kept/file")),
        changes_kept=("write", str(place / "kept/file")),
        makes_kept=("write", str(place / "kept/new")),
        lists_kept=("list", str(place / "kept")),
        up_and_down=("read", str(place / "given/../kept/file")),
    )
    given = {"reads_given", "makes_given", "changes_given", "reads_readable"}
    assert said == {name: "done" if name in given else refused() for name in said}


def test_without_landlock_nothing_is_confined_and_the_caller_is_told(place: Path) -> None:
    """The negative twin: the same process, on a kernel that lacks it, gets 0 and reaches everything."""
    said = tried(
        Confinement(connect=(), bind=()),
        without=True,
        reads=("read", str(place / "kept/file")),
        changes=("write", str(place / "kept/file")),
        runs=("run", "/bin/true"),
    )
    assert said == {"reads": "done", "changes": "done", "runs": "done"}


def test_what_the_bot_may_change_it_may_not_execute(place: Path) -> None:
    """A program that strategy code drops into its own directory does not start; the system's do."""
    program = place / "given" / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    said = tried(Confinement(write=(str(place / "given"),)), own=("run", str(program)), system=("run", "/bin/true"))
    assert said == {"own": refused(), "system": "done"}


def test_links_lead_nowhere_else(place: Path) -> None:
    """A link in a directory of one's own is judged by where it ends."""
    (place / "given" / "link").symlink_to(place / "kept" / "file")
    said = tried(Confinement(write=(str(place / "given"),)), link=("read", str(place / "given/link")))
    assert said == {"link": refused()}


def test_only_the_ports_that_were_given_can_be_reached() -> None:
    """Connecting and listening; None leaves them open."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [each.getsockname()[1] for each in (one, other)]
        tries: dict[str, Any] = {
            "given": ("connect", ports[0]),
            "other": ("connect", ports[1]),
            "listens": ("listen", 0),
        }
        closed = refused(since=TCP)
        assert tried(Confinement(connect=(ports[0],), bind=()), **tries) == {
            "given": "done", "other": closed, "listens": closed,
        }  # fmt: skip
        assert tried(Confinement(), **tries) == dict.fromkeys(tries, "done")


def test_no_signal_reaches_a_process_outside() -> None:
    """Not even one of the same user."""
    assert tried(Confinement(), out=("signal", os.getpid())) == {"out": refused(since=6)}


def test_a_process_with_threads_is_not_half_confined() -> None:
    """Threads that run already would stay outside."""
    code = (
        "import threading; from nasos.bot.sandbox import Confinement, enter\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "print(enter(Confinement()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert ("before any thread" in done.stderr) if ABI else (done.stdout == "0\n")


def test_it_travels_as_an_argument() -> None:
    """Nothing is lost; "any" stays different from "none"."""
    for each in (Confinement(), Confinement(read=("/a b", '/"ü'), write=("/c",), bind=(), connect=(1, 2))):
        assert Confinement.decode(each.encode()) == each


DEMO = {
    "api_server": {"listen_port": 8446},
    "exchange": {"ccxt_config": {"urls": {"api": {"public": "http://127.0.0.1:8447/api"}}}},
    "db_url": "postgresql+psycopg://127.0.0.1:8445/bot?sslmode=verify-full&sslrootcert=/tls/ca.pem",
}
REAL = DEMO | {"exchange": {"name": "binance"}}


def made(tmp_path: Path, words: str, configuration: dict[str, Any], *protected: Path) -> Confinement:
    """The sandbox for a command line in ``tmp_path``."""
    (tmp_path / "c.json").write_text('{"add_config_files": ["more.json"]}')
    (tmp_path / "more.json").write_text("{}")
    command = parse(["freqtrade", *words.split(), "-c", "c.json"], tmp_path)
    return confinement(command, configuration, here=tmp_path, protected=protected)


def test_the_stacks_bot_gets_its_directory_its_files_and_three_ports(tmp_path: Path) -> None:
    """No directory besides user_data is changed; configuration, added files and CA are read."""
    sandbox = made(tmp_path, "trade --userdir /bot/user_data", DEMO)
    assert sandbox.write == ("/bot/user_data",)
    assert set(sandbox.read) == {str(tmp_path / "c.json"), str(tmp_path / "more.json"), "/tls/ca.pem"}
    assert (sandbox.bind, sandbox.connect) == ((8446,), (8445, 8447))


@pytest.mark.parametrize("more", [REAL, DEMO | {"telegram": {"enabled": True}}, {"exchange": {}}])
def test_ports_are_left_open_where_not_all_are_known(tmp_path: Path, more: dict[str, Any]) -> None:
    """A real exchange, or a chat, is somewhere on the internet."""
    assert (
        made(tmp_path, "trade --userdir u --logfile u/log", more | {"db_url": "sqlite:///u/t.sqlite"}).connect is None
    )


def test_a_chat_that_only_vault_knows_opens_the_ports_too(tmp_path: Path) -> None:
    """The records say so, not the configuration."""
    sandbox = made(tmp_path, "trade --userdir u", DEMO)
    assert with_records(sandbox, ["api", "db", "exchange"]).connect == (8445, 8447)
    assert with_records(sandbox, ["api", "telegram"]).connect is None


@pytest.mark.parametrize(
    ("words", "configuration", "place"),
    [
        ("trade", DEMO | {"db_url": "sqlite:///t.sqlite"}, "."),
        ("trade", {}, "."),
        ("webserver --logfile logs/bot.log", {}, "logs"),
        ("webserver", {"logfile": "logs/bot.log"}, "logs"),
        ("webserver -ddata", {}, "data"),
        ("webserver", {"datadir": "data"}, "data"),
    ],
)
def test_what_lies_elsewhere_is_given_unless_more_lies_there(
    tmp_path: Path, words: str, configuration: dict[str, Any], place: str
) -> None:
    """A directory with somebody's credentials in it is refused, and named."""
    there = tmp_path / place
    assert str(there) in made(tmp_path, words, configuration, Path("/elsewhere")).write
    with pytest.raises(BotError, match="where "):
        made(tmp_path, words, configuration, there / "credentials")


def test_what_the_bot_can_change_does_not_widen_its_next_sandbox(tmp_path: Path) -> None:
    """Links that it left in user_data, and paths in a configuration that lies there."""
    inside = {"datadir": "u/data", "logfile": "u/logs/bot.log", "strategy_path": "u/more", "db_url": "sqlite:///u/d/t"}
    sandbox = made(tmp_path, "trade --userdir u", inside)
    assert sandbox.write == (str(tmp_path / "u"),)
    assert set(sandbox.read) == {str(tmp_path / "c.json"), str(tmp_path / "more.json")}
    wide = {"datadir": "/etc", "logfile": "/srv/bot.log", "strategy_path": "/root", "db_url": "sqlite:////srv/t"}
    sandbox = made(tmp_path, f"trade --userdir {tmp_path}", wide)
    assert (sandbox.read, sandbox.write) == ((), (str(tmp_path),))
    with pytest.raises(BotError, match="where its user_data is"):
        made(tmp_path, "trade", {"user_data_dir": str(tmp_path)})
