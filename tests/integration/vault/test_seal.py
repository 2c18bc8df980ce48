"""The static seal: a stolen state directory is worthless, a lost key is said, another key takes its place."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures import stack_child
from fixtures.stack_child import nobody, stack_of
from fixtures.vault import Server
from nasos.errors import FileRefused, StackError, VaultSealed
from nasos.ledger import read
from nasos.secret import Secret
from nasos.stack.aside import aside
from nasos.stack.certificates import issue
from nasos.stack.configuration import vault_config, write_before_start
from nasos.stack.embedded import Stack
from nasos.stack.seal.keys import keys, next_key
from nasos.stack.seal.rotation import rotate
from nasos.stack.stopped import place
from nasos.vault import system
from nasos.vault.client import VaultApi


def made(server: Server) -> Stack:
    """A bootstrapped stack that is down, with a secret in it."""
    server.start()
    try:
        root = server.bootstrap_keeping_root()
        server.api.request("POST", "kv/data/nasos/app/kept", {"data": {"value": "kept"}}, token=root)
    finally:
        server.stop()
    (server.home / "root").write_text(root.reveal())
    return stack_of(server.home, server.key, server.port)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """One for all of these tests: each leaves it as one that opens."""
    place = tmp_path_factory.mktemp("seal")
    return made(Server(place / "home", place / "key" / "unseal.key"))


def opens(stack: Stack, wait: float = 30.0) -> bool:
    """Whether the data opens with today's keys, and still holds the secret."""
    with aside(place(stack), vault_config(stack, keys(stack))) as api:
        try:
            system.wait_active(api, wait)
        except VaultSealed:
            return False
        return _kept(api, Secret((stack.home.root / "root").read_text()))


def unsealed(stack: Stack, wait: float) -> bool:
    """Whether the data's encryption opens; in another place that is all: the audit devices keep their paths in it."""
    deadline = time.monotonic() + wait
    with aside(place(stack), vault_config(stack, keys(stack))) as api:
        while system.seal_status(api).sealed:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


def _kept(api: VaultApi, root: Secret) -> bool:
    return bool(api.request("GET", "kv/data/nasos/app/kept", token=root)["data"])


def key_of(stack: Stack) -> Path:
    """Its key file."""
    return stack.home.key_path(stack.settings, stack.record)


def test_a_stolen_state_directory_cannot_be_opened(stack: Stack, tmp_path: Path) -> None:
    """A tar of NASOS_HOME: without the key refused, with a made-up key it stays sealed, with the real one it opens."""
    subprocess.run(["/bin/tar", "-cf", str(tmp_path / "stolen.tar"), "-C", str(stack.home.root), "."], check=True)
    thief = tmp_path / "thief"
    thief.mkdir(mode=0o700)
    subprocess.run(["/bin/tar", "-xf", str(tmp_path / "stolen.tar"), "-C", str(thief)], check=True)
    content = key_of(stack).read_bytes()
    assert content not in (tmp_path / "stolen.tar").read_bytes()
    own = tmp_path / "thief-keys" / "unseal.key"
    stolen = stack_of(thief, own, stack.ports.vault)
    with pytest.raises(StackError, match="is gone"):
        write_before_start(stolen)
    own.parent.mkdir(mode=0o700, exist_ok=True)
    own.write_bytes(b"\x07" * 32)
    own.chmod(0o600)
    assert not unsealed(stolen, 3.0)
    own.write_bytes(content)
    assert unsealed(stolen, 30.0)


def test_a_lost_key_is_said_and_none_is_made_in_its_place(stack: Stack) -> None:
    """The error says what to put where; another key would open nothing and hide the loss."""
    key = key_of(stack)
    kept = key.rename(key.with_name("kept"))
    with pytest.raises(StackError, match="nothing in this vault can be read again") as lost:
        write_before_start(stack)
    assert "chmod 600" in str(lost.value.hint)
    assert not key.exists()
    kept.rename(key)
    write_before_start(stack)
    assert opens(stack)


def test_a_key_that_others_can_read_is_refused(stack: Stack) -> None:
    """With the line that mends it."""
    key = key_of(stack)
    key.chmod(0o640)
    with pytest.raises(FileRefused) as open_to_others:
        write_before_start(stack)
    key.chmod(0o600)
    assert open_to_others.value.hint == f"chmod 600 {key}"


def test_a_directory_that_somebody_else_provides_is_left_as_it_is(stack: Stack) -> None:
    """systemd's credentials: read only, mode 0500 and 0400; the vault opens, and nothing about them is changed."""
    key = key_of(stack)
    key.chmod(0o400)
    key.parent.chmod(0o500)
    try:
        write_before_start(stack)
        assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o400, 0o500)
        assert opens(stack)
    finally:
        key.parent.chmod(0o700)
        key.chmod(0o600)


def test_a_new_key_takes_over_and_the_old_one_is_worthless(stack: Stack) -> None:
    """After the rotation the new key opens the data and the old one does not, under whatever name it is given."""
    key = key_of(stack)
    old = key.read_bytes()
    told: list[str] = []
    assert rotate(stack, told.append, nobody) == key
    assert told == [
        "the data is under a new key",
        "the new key alone opens it",
        "the old key does not open it any more",
    ]
    assert key.read_bytes() != old
    assert key.stat().st_mode & 0o777 == 0o600
    assert not next_key(key).exists()
    assert opens(stack)
    config = vault_config(stack, keys(stack))
    stale = key.with_name("stale")
    stale.write_bytes(old)
    stale.chmod(0o600)
    with aside(place(stack), replace(config, unseal_key=stale)) as api, pytest.raises(VaultSealed):
        system.wait_active(api, 3.0)
    assert [event.event for event in read(stack.home.ledger)][-1] == "vault.seal-key"
    # And once more: names are derived, so nothing has to be remembered from one time to the next.
    rotate(stack, told.append, nobody)
    assert opens(stack)


def test_a_vault_from_before_names_were_derived_goes_over(tmp_path: Path) -> None:
    """Its key was called "1" in its configuration: it opens, and so it does after a rotation."""
    stack = made(Server(tmp_path / "home", tmp_path / "key" / "unseal.key"))
    config = stack.home.root / "vault" / "config.hcl"
    assert '_key_id = "1"' in config.read_text()
    write_before_start(stack)
    assert '_key_id = "1"' in config.read_text()
    assert opens(stack)
    rotate(stack, lambda _text: None, nobody)
    write_before_start(stack)
    assert '_key_id = "1"' not in config.read_text()
    assert opens(stack)


class Killed(Exception):
    """A test ends the rotation here."""


def rotating(stack: Stack, server_key: Path) -> subprocess.Popen[bytes]:
    """A rotation in a process of its own."""
    return subprocess.Popen(
        [sys.executable, stack_child.__file__, "rotate", str(stack.home.root), str(server_key), str(stack.ports.vault)],
        cwd=stack.home.root, env={"PATH": os.environ["PATH"], "HOME": str(stack.home.root)},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("step", range(3))
def test_killed_at_each_step_the_vault_opens(stack: Stack, step: int) -> None:
    """Ended before each thing that is told, and run again: the vault opens in between and in the end."""
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) > step:
            raise Killed

    with pytest.raises(Killed):
        rotate(stack, tell, nobody)
    assert next_key(key_of(stack)).exists()
    write_before_start(stack)  # what nasos up does next
    assert opens(stack)
    rotate(stack, lambda _text: None, nobody)
    assert not next_key(key_of(stack)).exists()
    assert opens(stack)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 10))])
def test_killed_at_any_moment_the_vault_opens(stack: Stack, seed: int) -> None:
    """`kill -9` at random moments, four times: never is there no key that opens it."""
    dice = random.Random(seed)  # noqa: S311  a test's dice
    for _ in range(4):
        process = rotating(stack, key_of(stack))
        try:
            process.wait(dice.uniform(0.5, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        write_before_start(stack)
        assert opens(stack)
    rotate(stack, lambda _text: None, nobody)
    assert not next_key(key_of(stack)).exists()
    assert opens(stack)


def test_a_certificate_that_ran_out_while_it_was_down_is_renewed_before_the_start(stack: Stack) -> None:
    """`nasos up` after a year: the certificate is new before Vault starts, and clients verify it."""
    shutil.rmtree(stack.home.tls)
    stack.home.tls.mkdir(mode=0o700)
    issue(stack.home, stack.settings, now=datetime.now(UTC) - timedelta(days=400))
    before = (stack.home.tls / "vault.pem").read_bytes()
    write_before_start(stack)
    assert (stack.home.tls / "vault.pem").read_bytes() != before
    assert opens(stack)
