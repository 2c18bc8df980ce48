"""From the recovery key to a new operator credential, whatever is lost and whenever it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from fixtures import stack_child
from fixtures.vault import Server
from nasos.errors import PermissionDenied, VaultError
from nasos.ledger import read
from nasos.secret import Secret
from nasos.settings import AppRole
from nasos.vault import system
from nasos.vault.credentials import log_in_once
from nasos.vault.regain import GivenShares, root_authority
from nasos.vault.roles import roles
from nasos.vault.system import Shares

NewServer = Callable[..., Server]
NAMES = [role.name for role in roles(("nasos", "other"))]


def started(server: Server) -> subprocess.Popen[str]:
    """A recovery in a process of its own, waiting for the key."""
    return subprocess.Popen(
        [sys.executable, stack_child.__file__, "recover", str(server.home), str(server.key or ""), str(server.port)],
        cwd=server.home, env={"PATH": os.environ["PATH"], "HOME": str(server.home)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def recover(server: Server, *keys: str) -> tuple[int, str]:
    """The exit code and all that was said; no key is ever repeated."""
    process = started(server)
    out, err = process.communicate("".join(f"{key}\n" for key in keys), timeout=120)
    assert not any(key in out + err for key in keys)
    return process.returncode, out + err


def keys_of(server: Server) -> list[str]:
    """What the operator moved off the machine."""
    keys = msgspec.json.decode(server.files.recovery.read_bytes(), type=dict[str, object])["keys"]
    return msgspec.convert(keys, list[str])


def lose_everything(server: Server) -> list[AppRole]:
    """Every credential file gone, recovery.json moved away; what they held."""
    held = [server.connection(name).credential for name in NAMES]
    for path in server.files.credentials.iterdir():
        path.unlink()
    server.files.recovery.unlink()
    return [credential for credential in held if isinstance(credential, AppRole)]


def serving(server: Server, keys: list[str]) -> None:
    """The ordinary server over the same data, with the ordinary configuration."""
    server.prepare()
    server.start()
    status = system.seal_status(server.api)
    if status.sealed and not status.recovery_seal:
        for key in keys[: status.t]:
            system.unseal(server.api, Secret(key))
    system.wait_active(server.api, 30)


@pytest.mark.parametrize("shamir", [False, True])
def test_every_credential_is_lost_and_comes_back(new_server: NewServer, *, shamir: bool) -> None:
    """Static seal and Shamir: with the keys, and without any file, everything logs in again; nothing stays open."""
    server = new_server(shamir=shamir)
    root = server.bootstrap_keeping_root(shares=Shares(3, 2) if shamir else Shares())
    keys = keys_of(server)
    server.api.request("POST", "kv/data/nasos/app/kept", {"data": {"value": "kept"}}, token=root)
    lose_everything(server)
    server.stop()

    code, said = recover(server, *keys[:2])
    assert code == 0, said
    assert [event.event for event in read(server.home / "ledger" / "events.jsonl")][-2:] == [
        "vault.bootstrap",
        "vault.recover",
    ]
    assert not (server.home / "vault" / "aside.hcl").exists()
    assert "generate_root" not in (server.home / "vault" / "config.hcl").read_text()

    serving(server, keys)
    for role in roles(("nasos",)):
        credential = server.connection(role.name).credential
        assert isinstance(credential, AppRole)
        log_in_once(server.api, credential)
    assert root_accessors(server, root) == 1
    assert server.api.request("GET", "kv/data/nasos/app/kept", token=root)["data"]
    with pytest.raises(PermissionDenied), root_authority(server.api, GivenShares(map(Secret, keys))):
        pass


def root_accessors(server: Server, root: Secret) -> int:
    """How many root tokens live, the test's own included."""
    answer = server.api.request("LIST", "auth/token/accessors", token=root)
    accessors = msgspec.convert(answer["data"], dict[str, list[str]])["keys"]
    found = 0
    for accessor in accessors:
        shown = server.api.request("POST", "auth/token/lookup-accessor", {"accessor": accessor}, token=root)["data"]
        found += "root" in msgspec.convert(shown, dict[str, object])["policies"]  # type: ignore[operator]
    return found


def test_an_operator_credential_that_was_stolen_is_dead_afterwards(new_server: NewServer) -> None:
    """Recovery makes a new one although the file is still there, and the old SecretID logs in no more."""
    server = new_server()
    server.bootstrap()
    held = server.connection("operator").credential
    assert isinstance(held, AppRole)
    old = AppRole(
        role_id=held.role_id,
        secret_id=Secret(msgspec.json.decode((server.files.credentials / "operator.json").read_bytes())["secret_id"]),
    )
    log_in_once(server.api, old)
    server.stop()
    assert recover(server, *keys_of(server))[0] == 0
    serving(server, [])
    with pytest.raises(VaultError):
        log_in_once(server.api, old)
    log_in_once(server.api, held)


@pytest.mark.parametrize(
    ("given", "says"),
    [((), "0 of 1 key shares given"), (("d3Jvbmcgc2hhcmUgb2YgYW5vdGhlciBzZXJ2ZXIhISE=",), "not this server's")],
)
def test_without_the_key_nothing_is_recovered(new_server: NewServer, given: tuple[str, ...], says: str) -> None:
    """No key, or a wrong one: exit 3, nothing made, the refusal is in the ledger, the server opens as before."""
    server = new_server()
    server.bootstrap()
    lose_everything(server)
    server.stop()
    code, said = recover(server, *given)
    assert (code, says in said) == (3, True), said
    assert not any(server.files.credentials.iterdir())
    assert read_outcomes(server) == ["failed"]
    serving(server, [])


def read_outcomes(server: Server) -> list[str]:
    """How the recoveries ended, by the ledger."""
    return [str(e.outcome) for e in read(server.home / "ledger" / "events.jsonl") if e.event == "vault.recover"]


def asides(server: Server) -> Iterator[int]:
    """Second servers of this home that live."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"-config={server.home / 'vault' / 'aside.hcl'}".encode() in words:
            yield int(path.parent.name)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))])
def test_killed_at_any_moment_it_can_be_run_again(new_server: NewServer, seed: int) -> None:
    """`kill -9` at random moments: the second server is gone at once, no root token stays, the next run completes."""
    server = new_server()
    root = server.bootstrap_keeping_root()
    keys = keys_of(server)
    lose_everything(server)
    server.stop()
    dice, killed = random.Random(seed), 0  # noqa: S311  a test's dice
    for _ in range(6):
        process = started(server)
        assert process.stdin
        process.stdin.write(f"{keys[0]}\n")
        process.stdin.close()
        try:
            process.wait(dice.uniform(0.3, 2.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()
        until_none(server)
    assert killed
    assert recover(server, *keys)[0] == 0
    serving(server, keys)
    assert root_accessors(server, root) == 1
    log_in_once(server.api, credential_of(server))


def credential_of(server: Server) -> AppRole:
    """The operator's."""
    held = server.connection("operator").credential
    assert isinstance(held, AppRole)
    return held


def until_none(server: Server) -> None:
    """Poll until no second server lives."""
    deadline = time.monotonic() + 30
    while any(asides(server)):
        assert time.monotonic() < deadline, "a second server outlived its recovery"
        time.sleep(0.02)
