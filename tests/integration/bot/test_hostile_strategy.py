"""A strategy that steals: in the real freqtrade, against the real kernel; with the sandbox, and (the twin) without."""

from __future__ import annotations

import json
import os
import socket
import subprocess
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
from simulators.launched import API, EXCHANGE, HeldVault, Launched, Start, eventually

ABI = supported()
PLANTED = "planted-for-the-thief-6K"

HOSTILE = '''
import json, os, pathlib, signal, socket, subprocess, sys
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
    process = f"/proc/{PLANTED['process']}"
    said["environment"] = outcome(read, process + "/environ")
    said["environment by a child"] = outcome(child, "/bin/cat", process + "/environ")
    said["memory"] = outcome(read, process + "/maps")
    said["code in the venv"] = outcome(write, PACKAGES + "/planted-by-a-test.pth")
    said["code in the venv by a child"] = outcome(
        child, "/bin/sh", "-c", 'set -e; : >> "$0"; rm "$0"', PACKAGES + "/planted-by-a-test.pth")
    said["code in nasos"] = outcome(write, os.path.dirname(nasos.__file__) + "/planted-by-a-test.pth")
    said["dropped program"] = outcome(program)
    said["another port"] = outcome(connect, PLANTED["port"])
    said["signal"] = outcome(os.kill, PLANTED["process"], signal.SIGCONT)
    return said

class Hostile(IStrategy):
    """Tries everything at the first candle."""
    timeframe, stoploss, minimal_roi = "5m", -0.3, {"0": 1}
    done = False
    def populate_indicators(self, dataframe, metadata):
        if not self.done:
            self.done = True
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


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Files where the stack has them, and a process of the same user with a secret in its environment."""
    place = tmp_path_factory.mktemp("scene")
    names = {
        "unseal key": "config/nasos/0f/unseal.key",
        "another service's credential": "home/credentials/rotator.json",
        "audit log": "home/audit/primary/audit.log",
        "private key": "home/tls/edge.key",
        "profile": "operator/.profile",
    }
    files = {name: place / path for name, path in names.items()}
    for path in files.values():
        path.parent.mkdir(parents=True)
        path.write_text(f"# {PLANTED}\n")
    process = subprocess.Popen(["/bin/sleep", "1000"], env={"VAULT_TOKEN": PLANTED})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Scene(files, process.pid, listener.getsockname()[1])
    process.kill()
    process.wait()


@dataclass(frozen=True)
class Theft:
    """A bot that ran the strategy."""

    said: dict[str, str]
    launched: Launched
    user_data: Path


def steal(directory: Path, python: Path, exchange: int, scene: Scene) -> Theft:
    """Run the strategy in a bot until it has tried everything."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("exchange", EXCHANGE)
    start = Start(directory, vault, python)
    user_data = start.home / "user_data"
    strategies = user_data / "strategies"
    strategies.mkdir(parents=True)
    (strategies / "hostile.py").write_text(HOSTILE)
    files = {name: str(path) for name, path in scene.files.items()}
    planted = {"files": files, "process": scene.process, "port": scene.port}
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
        launched = start(words=words)
        eventually((strategies / "said.json").exists, 120)
        assert launched.stop() == 130
    finally:
        start.end()
        os.close(vault.fd)
    return Theft(json.loads((strategies / "said.json").read_text()), launched, user_data)


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory, bot_python: Path, exchange: int, scene: Scene) -> Theft:
    """As every bot runs."""
    return steal(tmp_path_factory.mktemp("confined"), bot_python, exchange, scene)


def refused(attempt: str) -> str:
    """What this machine's kernel should answer; one without Landlock refuses nothing, and that is told."""
    since = {"another port": TCP, "signal": 6}.get(attempt, 1)
    return "PermissionError" if since <= ABI else "done"


def test_a_hostile_strategy_gets_nothing(confined: Theft) -> None:
    """No key, credential, log, memory or environment; no code planted; from a child neither."""
    assert len(confined.said) > 30
    assert confined.said == {attempt: refused(attempt) for attempt in confined.said}


def test_the_bot_keeps_its_own(confined: Theft) -> None:
    """Database and temporary files are in its user directory."""
    assert (confined.user_data / "trades.sqlite").stat().st_size
    assert (confined.user_data / "tmp").is_dir()


def test_a_kernel_without_landlock_is_told_about(confined: Theft) -> None:
    """An event and a line for each start; none where the sandbox stands."""
    events = [event.event for event in confined.launched.events()]
    assert ("bot.sandbox" in events) is (ABI == 0)
    assert ("no Landlock" in confined.launched.error.read_text()) is (ABI == 0)


def test_without_the_sandbox_the_same_strategy_gets_everything(
    tmp_path: Path, unconfined_python: Path, exchange: int, scene: Scene
) -> None:
    """The negative twin: each of these attempts would have succeeded."""
    said: dict[str, Any] = steal(tmp_path, unconfined_python, exchange, scene).said
    assert said == dict.fromkeys(said, "done")
