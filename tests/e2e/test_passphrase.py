"""A stack whose unseal key has a passphrase, as its operator meets it: asked at the start, and never in between."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.stack import Walk

PHRASE = "six random words of the operator"


def key_of(stack: Walk) -> Path:
    """Where the key file is, or would be."""
    identity = str(json.loads((stack.home / "stack.json").read_text())["id"])
    places = (Path("/etc/nasos"), Path(stack.environment["HOME"]) / ".config" / "nasos")
    return next(place / identity / "unseal.key" for place in places if (place / identity).exists())


@pytest.fixture
def ram(stack: Walk) -> Iterator[Path]:
    """A place in memory, named in the operator's .env: not every machine that tests has one of its own."""
    place, env = Path(tempfile.mkdtemp(dir="/dev/shm")), stack.project / ".env"
    place.chmod(0o755)
    if stack.user:
        shutil.chown(place, stack.user)
    before = env.read_bytes() if env.exists() else b""
    env.write_bytes(before + f"\nNASOS_RUNTIME_DIR={place / 'nasos'}\n".encode())
    yield place / "nasos"
    env.write_bytes(before)
    shutil.rmtree(place)


@pytest.mark.long
def test_a_person_is_asked_at_the_start_and_never_in_between(stack: Walk, ram: Path) -> None:
    """Protected while it runs; Vault killed; down; wrong passphrase; none; the right one; another key; and back."""
    key = key_of(stack)
    try:
        _protected_while_it_runs(stack, ram, key)
        _asked_at_the_start(stack, ram)
        old = key.with_name("unseal.key.age").read_bytes()
        stack.nasos("vault", "seal-key", "rotate", stdin=f"{PHRASE}\n")
        assert key.with_name("unseal.key.age").read_bytes() != old
        assert stack.healthy()
    finally:
        stack.nasos("vault", "seal-key", "unprotect", stdin=f"{PHRASE}\n")
    assert [path.name for path in key.parent.iterdir()] == ["unseal.key"]
    assert not list(ram.rglob("unseal.key"))
    assert "seal-key protect asks a person instead" in stack.nasos("up").stdout
    stack.nasos("restart", "vault")
    assert stack.healthy()


def _protected_while_it_runs(stack: Walk, ram: Path, key: Path) -> None:
    before = stack.pid("vault")
    stack.nasos("vault", "seal-key", "protect", stdin=f"{PHRASE}\n")
    assert [path.name for path in key.parent.iterdir()] == ["unseal.key.age"]
    [kept] = ram.rglob("unseal.key")
    owner = pwd.getpwnam(stack.user or "nasos-vault").pw_uid
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (
        owner, 0o600, 0o700,
    )  # fmt: skip
    assert stack.pid("vault") == before
    assert before
    os.kill(before, signal.SIGKILL)
    assert stack.until(lambda: stack.pid("vault") not in {None, before} and stack.healthy(), 90)
    assert finding(stack, "secrets.unseal-key")["state"] == "pass"
    assert finding(stack, "secrets.files-private")["state"] == "pass"


def _asked_at_the_start(stack: Walk, ram: Path) -> None:
    assert "in memory no more" in stack.nasos("down").stderr
    assert not list(ram.rglob("unseal.key"))
    wrong = stack.nasos("up", stdin="six wrong words of somebody\n", check=False)
    assert (wrong.returncode, "the passphrase is wrong" in wrong.stderr) == (3, True)
    silent = stack.nasos("up", stdin="", check=False)
    assert (silent.returncode, "no passphrase of the unseal key was given" in silent.stderr) == (2, True)
    assert {each["pid"] for each in stack.json("status")["programs"]} == {None}
    right = stack.nasos("up", stdin=f"{PHRASE}\n")
    assert PHRASE not in right.stdout + right.stderr
    assert "The unseal key has a passphrase" in right.stdout
    stack.nasos("up", stdin="")  # nobody is asked
    [kept] = ram.rglob("unseal.key")
    away = kept.rename(kept.with_name("away"))
    before = stack.pid("vault")
    lost = stack.nasos("restart", "vault", check=False)
    assert "waits for its passphrase" in lost.stderr
    assert stack.pid("vault") == before
    away.rename(kept)


@pytest.mark.long
def test_systemd_passes_the_key_and_nobody_is_asked(stack: Walk, ram: Path) -> None:
    """From a read-only directory of the one who starts it, also where Vault has its own user; killed, it is back."""
    key, passed = key_of(stack), ram.parent / "credentials"
    passed.mkdir()
    shutil.copy(key, passed / "nasos-unseal.key")
    for path, mode in ((passed / "nasos-unseal.key", 0o400), (passed, 0o500)):
        path.chmod(mode)
        if stack.user:
            shutil.chown(path, stack.user)
    away = key.rename(key.with_name("unseal.key.elsewhere"))
    try:
        stack.nasos("down")
        stack.run("./nasos", "up", extra={"CREDENTIALS_DIRECTORY": str(passed)})
        assert not key.exists()
        before = stack.pid("vault")
        assert before
        os.kill(before, signal.SIGKILL)
        assert stack.until(lambda: stack.pid("vault") not in {None, before} and stack.healthy(), 90)
        assert finding(stack, "secrets.unseal-key")["evidence"] == "passed by systemd, in memory only"
        refused = stack.nasos("vault", "seal-key", "rotate", check=False)
        assert "systemd passes the unseal key" in refused.stderr
        stack.nasos("down")
        by_hand = stack.nasos("up", check=False)
        assert (by_hand.returncode, "is gone" in by_hand.stderr) == (3, True)
    finally:
        away.rename(key)
        stack.nasos("up")
    assert stack.healthy()


def finding(stack: Walk, name: str) -> dict[str, str]:
    """What the security test says of one thing."""
    found: dict[str, str] = next(each for each in stack.json("check", "secrets")["findings"] if each["id"] == name)
    return found
