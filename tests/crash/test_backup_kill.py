"""`kill -9` of a backup and of a restore: the file is whole or absent, the state is the old one or the new one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from fixtures.servers import Servers, open_place, servers
from fixtures.stack import free_base_port
from nasos.settings import AppRole
from nasos.stack.backup.staging import MARK
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi


@dataclass
class Ground:
    """A living pair of servers, and the command line over it."""

    pair: Servers
    identity: Path
    recipient: str

    def nasos(self, *words: str, home: Path | None = None, key_dir: Path | None = None) -> subprocess.Popen[str]:
        """Start ``nasos``, as the operator does."""
        settings = self.pair.stack.settings
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.pair.place),
            "NASOS_HOME": str(home or settings.home), "NASOS_KEY_DIR": str(key_dir or settings.key_dir),
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "nasos", *words], cwd=self.pair.place, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finished(self, *words: str, home: Path | None = None, key_dir: Path | None = None) -> str:
        """Run it to its end, which must be a good one; return what it said."""
        with self.nasos(*words, home=home, key_dir=key_dir) as running:
            out, err = running.communicate(timeout=300)
        assert running.returncode == 0, out + err
        return out


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Servers with one trade, and an age key."""
    with servers() as pair:
        pair.trade("BTC/USDT")
        ground = Ground(pair, pair.place / "id.key", "")
        ground.recipient = ground.finished("backup", "keygen", str(ground.identity)).strip()
        yield ground


def killed_when(running: subprocess.Popen[str], reached: Callable[[], bool]) -> bool:
    """`kill -9` at this moment; whether it still ran then."""
    deadline = time.monotonic() + 200
    while running.poll() is None and not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    alive = running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.communicate()
    return alive


def test_a_killed_backup_leaves_no_half_file(ground: Ground) -> None:
    """At each stage: nothing stands under the name; the next run is whole, and clears what was left."""
    room = ground.pair.stack.home.run("backup") / "parts"
    file = ground.pair.place / "killed.age"
    stages = (
        room.exists,
        (room / "vault" / "snapshot").exists,
        (room / "postgres" / "roles.sql").exists,
        (room / "state").exists,
        lambda: any(ground.pair.place.glob(".killed.age.*.tmp")),
    )
    killed = 0
    for stage in stages:
        killed += killed_when(ground.nasos("backup", str(file), "--recipient", ground.recipient), stage)
        if file.exists():  # it was done before it was killed
            ground.finished("backup", "verify", str(file), "--identity", str(ground.identity))
            file.unlink()
    assert killed >= 3
    ground.finished("backup", str(file), "--recipient", ground.recipient)
    assert not room.exists()
    assert not list(ground.pair.place.glob(".killed.age*"))
    assert "nasos-restore" not in roles(ground)


def roles(ground: Ground) -> str:
    """Every AppRole of the living server."""
    stack = ground.pair.stack
    api = VaultApi(stack.vault_address, stack.ca_file)
    credential = AppRole(role_id="", secret_id_file=stack.home.credentials / "operator.json")
    return str(api.request("LIST", "auth/approle/role", token=AppRoleLogin(api, credential).obtain().token))


QUICK = ("unpacked", "vault restored", "postgres made")


@pytest.mark.parametrize(
    "stages",
    [
        QUICK,
        pytest.param(("begun", *QUICK, "vault made", "new credentials", "changed places"), marks=pytest.mark.long),
    ],
)
def test_a_killed_restore_leaves_the_old_state_or_the_new_one(ground: Ground, stages: tuple[str, ...]) -> None:
    """After each kill one of the two stands whole; run again, it completes, and the old state is kept aside."""
    file = ground.pair.place / "good.age"
    if not file.exists():
        ground.finished("backup", str(file), "--recipient", ground.recipient)
    key = ground.pair.stack.home.key_path(ground.pair.stack.settings, ground.pair.stack.record)
    with open_place() as place:
        home, built = place / "state", place / "state.restore"
        home.mkdir(mode=0o700)
        ports = msgspec.to_builtins(ground.pair.stack.ports)
        home.joinpath("stack.json").write_bytes(msgspec.json.encode({"id": "another1", "ports": ports}))
        home.joinpath("precious").write_text("mine")
        moments: dict[str, Callable[[], bool]] = {
            "begun": built.exists,
            "unpacked": (built / "run" / "restore" / "state").exists,
            "vault made": (built / "vault" / "data" / "vault.db").exists,
            "vault restored": lambda: (built / "credentials").is_dir() and any((built / "credentials").iterdir()),
            "new credentials": (built / "credentials" / "watcher.json").exists,
            "postgres made": (built / "postgres" / "data" / "PG_VERSION").exists,
            "changed places": lambda: not (home / "precious").exists(),
        }
        words = ["restore", str(file), "--identity", str(ground.identity), "--unseal-key", str(key), "--force"]
        words += ["--port", str(free_base_port())]
        for stage in stages:
            killed_when(ground.nasos(*words, home=home, key_dir=place / "key"), moments[stage])
            new = ground.pair.stack.record.id in (home / "stack.json").read_text()
            assert new or (home / "precious").read_text() == "mine"
            assert len(list(place.glob("*/precious"))) == 1
        ground.finished(*words, home=home, key_dir=place / "key")
        assert ground.pair.stack.record.id in (home / "stack.json").read_text()
        assert not (home / MARK).exists()
        assert not built.exists()
        [kept] = place.glob("state.before-*/precious")
        assert kept.read_text() == "mine"
