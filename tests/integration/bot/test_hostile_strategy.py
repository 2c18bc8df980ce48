"""A strategy that steals: in the real freqtrade, against the real kernel; with the sandbox, and (the twin) without."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.vault import free_port
from nasos.bot.freqtrade import base_config
from nasos.bot.sandbox import TCP, supported
from nasos.settings import BotSettings
from nasos.stack import demo_exchange
from simulators.launched import API, EXCHANGE, JWT, HeldVault, Launched, Start, eventually

ABI = supported()
PLANTED = "planted-for-the-thief-6K"

HOSTILE = '''
import ctypes, gc, hashlib, json, os, pathlib, signal, socket, subprocess, sys
import nasos
from freqtrade.strategy import IStrategy

HERE = pathlib.Path(__file__).parent
PLANTED = json.loads((HERE / "planted.json").read_text())
PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))

def read(path):
    with open(path, "rb") as file:
        assert file.read(20)

def write(path):
    existed = os.path.exists(path)
    open(path, "a").close()
    if not existed:
        os.unlink(path)

def child(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise PermissionError(done.stderr)

def connect(port):
    socket.create_connection(("127.0.0.1", port), 5).close()

FORKED = """
import os, sys
if not os.fork():
    os._exit(0 if os.access(sys.argv[1], os.R_OK) and open(sys.argv[1], "rb").read(20) else 1)
sys.exit(1 if os.wait()[1] else 0)
"""

def forked(path):
    child(sys.executable, "-I", "-c", FORKED, path)

def listen():
    socket.create_server(("127.0.0.1", 0)).close()

UNIX = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"

def unix():
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(PLANTED["socket"])

def traced(number, *arguments):
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    if call(*map(ctypes.c_long, (number, *arguments))) < 0:
        raise OSError(ctypes.get_errno(), "")

def attach(pid):
    traced(PLANTED["ptrace"], 16, pid, 0, 0)
    os.waitpid(pid, 0)
    traced(PLANTED["ptrace"], 17, pid, 0, 0)

def descriptor_of(pid):
    traced(438, os.pidfd_open(pid), 0, 0)  # pidfd_getfd

def program():
    path = HERE / "program"
    path.write_text("#!/bin/sh\\n")
    path.chmod(0o755)
    subprocess.run([path], check=True)

def outcome(act, *what):
    try:
        act(*what)
    except OSError as error:
        return type(error).__name__
    return "done"

def attempts():
    said = {}
    for name, path in PLANTED["files"].items():
        said["read " + name] = outcome(read, path)
        said["change " + name] = outcome(write, path)
        said["read by a child " + name] = outcome(child, "/bin/cat", path)
        said["change by a child " + name] = outcome(child, "/bin/sh", "-c", ': >> "$0"', path)
        said["list around " + name] = outcome(os.listdir, os.path.dirname(path))
        said["read by a fork " + name] = outcome(forked, path)
    for whose, pid in (("another", PLANTED["process"]), ("its launcher's", os.getppid())):
        said[whose + " environment"] = outcome(read, f"/proc/{pid}/environ")
        said[whose + " memory"] = outcome(read, f"/proc/{pid}/maps")
        said[whose + " process as a debugger"] = outcome(attach, pid)
        said[whose + " descriptors"] = outcome(descriptor_of, pid)
    said["code in the environment that can rotate"] = outcome(write, PLANTED["venv"] + "/planted-by-a-test.pth")
    said["listening"] = outcome(listen)
    said["a unix socket"] = outcome(unix)
    said["a unix socket by a child"] = outcome(child, sys.executable, "-I", "-c", UNIX, PLANTED["socket"])
    process = f"/proc/{PLANTED['process']}"
    said["environment by a child"] = outcome(child, "/bin/cat", process + "/environ")
    said["code in the venv"] = outcome(write, PACKAGES + "/planted-by-a-test.pth")
    said["code in the venv by a child"] = outcome(
        child, "/bin/sh", "-c", 'set -e; : >> "$0"; rm "$0"', PACKAGES + "/planted-by-a-test.pth")
    said["code in nasos"] = outcome(write, os.path.dirname(nasos.__file__) + "/planted-by-a-test.pth")
    said["dropped program"] = outcome(program)
    said["another port"] = outcome(connect, PLANTED["port"])
    said["signal"] = outcome(os.kill, PLANTED["process"], signal.SIGCONT)
    return said

def order_line():
    """What is to be had over the socket to the launcher, and in any descriptor."""
    from nasos.bot.orders import Certify, Document, Line, Load
    line = next(each for each in gc.get_objects() if isinstance(each, Line))
    line._end.send(b"garbage")
    line._end.send(b"[1,false,[[[[")
    document = json.loads(line.ask(Load(), 30).json.reveal())
    leaves = {f"{section}.{name}": hashlib.sha256(value.encode()).hexdigest()
              for section, fields in document.items() if isinstance(fields, dict) for name, value in fields.items()}
    refused = []
    for order in (Document(line.ask(Certify(), 30).pem),):
        try:
            line.ask(order, 30)
        except Exception as error:
            refused.append(str(error))
    held = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            held.append(os.pread(int(fd), 1 << 16, 0).decode("latin-1"))
        except OSError:
            pass
    return {"document": leaves, "refused": refused, "held": PLANTED["own"] in "".join(held)}

class Hostile(IStrategy):
    """Tries everything at the first candle."""
    timeframe, stoploss, minimal_roi = "5m", -0.3, {"0": 1}
    done = False
    def populate_indicators(self, dataframe, metadata):
        if not self.done:
            self.done = True
            (HERE / "line.json").write_text(json.dumps(order_line()))
            (HERE / "said.tmp").write_text(json.dumps(attempts()))
            (HERE / "said.tmp").rename(HERE / "said.json")
        return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
'''


@dataclass(frozen=True)
class Scene:
    """What there is to steal."""

    files: dict[str, Path]
    process: int
    port: int
    socket: str
    """Of a program like supervisord, which does what it is told by whoever may connect."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Files where the stack has them, and a process of the same user with a secret in its environment."""
    place = tmp_path_factory.mktemp("scene")
    names = {
        "unseal key": "config/nasos/0f/unseal.key",
        "another service's credential": "home/credentials/rotator.json",
        "its own credential": "home/credentials/bot-testbot.json",
        "audit log": "home/audit/primary/audit.log",
        "private key": "home/tls/edge.key",
        "profile": "operator/.profile",
    }
    files = {name: place / path for name, path in names.items()}
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    files["unseal key in memory"] = memory / "unseal.key"
    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {PLANTED}\n")
    process = subprocess.Popen(["/bin/sleep", "1000"], env={"VAULT_TOKEN": PLANTED})
    control_path = tempfile.mkdtemp() + "/control.sock"  # pytest's own directories are too long for one
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as control:
        control.bind(control_path)
        control.listen()
        yield Scene(files, process.pid, listener.getsockname()[1], control_path)
    shutil.rmtree(Path(control_path).parent)
    shutil.rmtree(memory)
    process.kill()
    process.wait()


@dataclass(frozen=True)
class Theft:
    """A bot that ran the strategy."""

    said: dict[str, str]
    line: dict[str, Any]
    """What the strategy got over the order line."""
    launched: Launched
    user_data: Path


def steal(directory: Path, python: Path, exchange: int, scene: Scene) -> Theft:
    """Run the strategy in a bot until it has tried everything."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", EXCHANGE)
    start = Start(directory, vault, python)
    user_data = start.home / "user_data"
    strategies = user_data / "strategies"
    strategies.mkdir(parents=True)
    (strategies / "hostile.py").write_text(HOSTILE)
    files = {name: str(path) for name, path in scene.files.items()}
    planted = {
        "files": files,
        "process": scene.process,
        "port": scene.port,
        "socket": scene.socket,
        "venv": str(Path(pytest.__file__).parents[1]),
        "ptrace": {"x86_64": 101, "aarch64": 117}[platform.machine()],
        "own": EXCHANGE["secret"],
    }
    (strategies / "planted.json").write_text(json.dumps(planted))
    config = base_config(
        BotSettings(name="testbot", strategy="Hostile"),
        exchange=demo_exchange.ccxt_config(exchange),
        api_port=free_port(),
        db_url=f"sqlite:///{user_data}/trades.sqlite",
        project=None,
    )
    (start.home / "base.json").write_text(json.dumps(config))
    try:
        words = ["freqtrade", "trade", "--userdir", str(user_data), "-c", str(start.home / "base.json")]
        launched = start(words=words, grace=120)  # a busy machine takes its time to end an interpreter
        eventually((strategies / "said.json").exists, 120)
        assert launched.stop(patience=150) == 130
    finally:
        start.end()
        os.close(vault.fd)
    said, line = (json.loads((strategies / f"{name}.json").read_text()) for name in ("said", "line"))
    return Theft(said, line, launched, user_data)


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory, bot_python: Path, exchange: int, scene: Scene) -> Theft:
    """As every bot runs."""
    return steal(tmp_path_factory.mktemp("confined"), bot_python, exchange, scene)


def refused(attempt: str) -> str:
    """What this machine's kernel should answer; one without Landlock refuses nothing, and that is told."""
    since = {"another port": TCP, "listening": TCP, "signal": 6}.get(attempt, 1)
    return "PermissionError" if since <= ABI else "done"


def test_a_hostile_strategy_gets_nothing(confined: Theft) -> None:
    """No key, credential, log, memory or environment; no code planted; from a child neither."""
    assert len(confined.said) > 50
    assert confined.said == {attempt: refused(attempt) for attempt in confined.said}


def test_the_order_line_gives_this_bots_own_records_and_nothing_else(confined: Theft) -> None:
    """Asked again, it answers what the process holds anyway; nonsense and made-up orders do not make it deaf."""
    own = {f"api_server.{name}": value for name, value in (API | JWT).items()}
    own |= {"exchange.api_key": EXCHANGE["key"], "exchange.secret": EXCHANGE["secret"]}
    assert confined.line["document"] == {key: hashlib.sha256(value.encode()).hexdigest() for key, value in own.items()}
    assert confined.line["refused"] == ["there is no answer to that"]


def test_no_descriptor_holds_the_exchange_key(confined: Theft) -> None:
    """What the strategy could read of its process's open files does not have it."""
    assert confined.line["held"] is False


def test_the_bot_keeps_its_own(confined: Theft) -> None:
    """Database and temporary files are in its user directory."""
    assert (confined.user_data / "trades.sqlite").stat().st_size
    assert (confined.user_data / "tmp").is_dir()


def test_a_kernel_without_landlock_is_told_about(confined: Theft) -> None:
    """An event and a line for each start; none where the sandbox stands."""
    events = [event.event for event in confined.launched.events()]
    assert ("bot.sandbox" in events) is (ABI == 0)
    assert ("no landlock" in confined.launched.error.read_text()) is (ABI == 0)


def test_without_the_sandbox_the_same_strategy_gets_everything(
    tmp_path: Path, unconfined_python: Path, exchange: int, scene: Scene
) -> None:
    """The negative twin: each of these attempts would have succeeded."""
    said: dict[str, Any] = steal(tmp_path, unconfined_python, exchange, scene).said
    assert said == dict.fromkeys(said, "done")
