"""The unseal key under a passphrase: a stolen disk is worthless, a person opens it, and nothing is lost on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest

from fixtures import stack_child
from fixtures.cheap_age import cheap_age
from fixtures.stack_child import nobody, stack_of
from fixtures.vault import Server
from nasos.errors import FileRefused, RotationError, StackError, UsageError, VaultSealed
from nasos.ledger import read
from nasos.secret import Secret
from nasos.stack.aside import aside
from nasos.stack.backup.save import unseal_key
from nasos.stack.boot import require_unattended
from nasos.stack.configuration import vault_config, write_before_start
from nasos.stack.embedded import Stack
from nasos.stack.recover import recover
from nasos.stack.rotation.vault import SealKey
from nasos.stack.seal import memory
from nasos.stack.seal.credential import NAME, given
from nasos.stack.seal.keys import Keys, in_memory, keys, on_disk, wrapped
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.protection import protect, unprotect
from nasos.stack.seal.rotation import rotate
from nasos.stack.seal.wrapping import unwrap
from nasos.stack.stopped import place
from nasos.vault import system
from nasos.vault.regain import GivenShares

PHRASE = "six random words of the operator"
OTHER = "six other words of the operator"


def quiet(_text: str) -> None:
    """Nobody listens."""


def typing(*phrases: str) -> Callable[[], Secret]:
    """A person who types these, one after the other."""
    waiting = iter(phrases)
    return lambda: Secret(next(waiting))


@pytest.fixture
def ram() -> Iterator[Path]:
    """A directory in memory."""
    path = Path(tempfile.mkdtemp(prefix="nasos-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@dataclass
class Vault:
    """A stack of one Vault, down, with a secret in it; and where its parts are."""

    stack: Stack
    ram: Path

    @property
    def plain(self) -> Path:
        """The key file."""
        return on_disk(self.stack)

    @property
    def protected(self) -> Path:
        """The same under a passphrase."""
        return wrapped(self.plain)

    def protect(self) -> bytes:
        """What ``protect`` leaves, at no cost; return the key."""
        key = self.plain.read_bytes()
        self.protected.touch(mode=0o600)
        self.protected.write_bytes(cheap_age(key, PHRASE))
        self.plain.unlink()
        return key


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Bootstrapped once; tests that run a server over it copy nothing, and leave it as it was."""
    here = tmp_path_factory.mktemp("passphrase")
    server = Server(here / "home", here / "key" / "unseal.key")
    server.start()
    try:
        (server.home / "root").write_text(server.bootstrap_keeping_root().reveal())
    finally:
        server.stop()
    yield server
    server.kill()


@pytest.fixture
def vault(original: Server, ram: Path) -> Iterator[Vault]:
    """The stack with a plain key file, before and after each test."""
    assert original.key
    before = original.key.read_bytes()
    stack = stack_of(original.home, original.key, original.port, more={"NASOS_RUNTIME_DIR": str(ram)})
    yield Vault(stack, ram)
    content = original.key.read_bytes() if original.key.exists() else before
    shutil.rmtree(original.key.parent)
    original.key.parent.mkdir(mode=0o700)
    original.key.touch(mode=0o600)
    original.key.write_bytes(content)


def opens(stack: Stack, wait: float = 30.0) -> bool:
    """Whether the data opens with today's keys, and answers the operator."""
    with aside(place(stack), vault_config(stack, keys(stack))) as api:
        try:
            system.wait_active(api, wait)
        except VaultSealed:
            return False
        return bool(api.request("GET", "sys/mounts", token=Secret((stack.home.root / "root").read_text())))


def test_a_protected_key_is_on_the_disk_in_plain_no_more(vault: Vault) -> None:
    """An age file in its place; the start asks once, and not again until the key has left the memory."""
    content = vault.plain.read_bytes()
    assert protect(vault.stack, nobody, typing(PHRASE), quiet) == vault.protected
    assert sorted(path.name for path in vault.plain.parent.iterdir()) == ["unseal.key.age"]
    assert vault.protected.read_bytes().startswith(b"age-encryption.org/v1\n-> scrypt ")
    assert vault.protected.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StackError, match="waits for its passphrase") as waits:
        write_before_start(vault.stack)
    assert waits.value.hint == "./nasos up"
    assert make_ready(vault.stack, typing(PHRASE), quiet)
    place_ = in_memory(vault.stack)
    assert (place_.read_bytes(), place_.stat().st_mode & 0o777, place_.parent.stat().st_mode & 0o777) == (
        content, 0o600, 0o700,
    )  # fmt: skip
    write_before_start(vault.stack)
    assert opens(vault.stack)
    assert unseal_key(vault.stack) == content
    assert not make_ready(vault.stack, nobody, quiet)
    memory.forget(vault.stack)
    assert list(place_.parent.iterdir()) == []
    with pytest.raises(StackError, match="waits for its passphrase"):
        keys(vault.stack)
    [*_, last] = [event for event in read(vault.stack.home.ledger) if event.event == "vault.seal-key"]
    assert last.detail == {"what": "protected"}


def test_a_copy_of_the_whole_disk_cannot_be_opened_without_the_passphrase(vault: Vault, tmp_path: Path) -> None:
    """State directory and key directory: the key is in none of their files, a wrong guess opens nothing; his does."""
    write_before_start(vault.stack)
    key = vault.protect()
    shutil.copytree(vault.stack.home.root, tmp_path / "home")
    shutil.copytree(vault.plain.parent, tmp_path / "key")
    for path in [*tmp_path.rglob("*")]:
        assert not path.is_file() or (key not in path.read_bytes() and key.hex().encode() not in path.read_bytes())
    ram = vault.ram / "thief"
    stolen = stack_of(
        tmp_path / "home", tmp_path / "key" / "unseal.key", vault.stack.ports.vault,
        more={"NASOS_RUNTIME_DIR": str(ram)},
    )  # fmt: skip
    with pytest.raises(StackError, match="waits for its passphrase"):
        keys(stolen)
    for guess in (OTHER, PHRASE + " "):
        with pytest.raises(StackError, match="passphrase is wrong"):
            make_ready(stolen, typing(guess), quiet)
        assert not ram.exists()
    assert make_ready(stolen, typing(PHRASE), quiet)
    assert in_memory(stolen).read_bytes() == key


def test_back_to_a_key_file(vault: Vault) -> None:
    """The same key, asked for once; a wrong passphrase changes nothing."""
    key = vault.protect()
    before = vault.protected.read_bytes()
    with pytest.raises(StackError, match="passphrase is wrong"):
        unprotect(vault.stack, typing(OTHER), quiet)
    assert (vault.plain.exists(), vault.protected.read_bytes()) == (False, before)
    assert unprotect(vault.stack, typing(PHRASE), quiet) == vault.plain
    assert (vault.plain.read_bytes(), vault.plain.stat().st_mode & 0o777) == (key, 0o600)
    assert not vault.protected.exists()
    with pytest.raises(StackError, match="has no passphrase"):
        unprotect(vault.stack, nobody, quiet)
    write_before_start(vault.stack)


def test_another_passphrase(vault: Vault) -> None:
    """With the present one; afterwards the new one alone opens it."""
    key = vault.plain.read_bytes()
    with pytest.raises(UsageError, match="12 characters"):
        protect(vault.stack, nobody, typing("short"), quiet)
    assert not vault.protected.exists()
    vault.protect()
    with pytest.raises(StackError, match="passphrase is wrong"):
        protect(vault.stack, typing(OTHER), nobody, quiet)
    protect(vault.stack, typing(PHRASE), typing(OTHER), quiet)
    with pytest.raises(StackError, match="passphrase is wrong"):
        unwrap(vault.protected, Secret(PHRASE))
    assert unwrap(vault.protected, Secret(OTHER)) == key


@pytest.mark.parametrize("steps", [(1,), pytest.param((0, 1, 2), marks=pytest.mark.long)])
def test_a_new_key_is_under_the_same_passphrase_and_was_never_in_plain_on_the_disk(
    vault: Vault, steps: tuple[int, ...]
) -> None:
    """Wrong passphrase: nothing stops. Killed at each step it opens; then the old key is worthless."""
    old = vault.protect()
    with pytest.raises(StackError, match="passphrase is wrong"):
        rotate(vault.stack, nobody_hears, typing(OTHER))
    with pytest.raises(RotationError, match="a person has to give"):
        SealKey(vault.stack).run(lambda: None)
    for step in steps:
        with pytest.raises(Killed):
            rotate(vault.stack, ending_at(step), typing(PHRASE))
        assert sorted(p.name for p in vault.plain.parent.iterdir()) == ["unseal.key.age", "unseal.key.next.age"]
        assert not in_memory(vault.stack).exists()
        assert make_ready(vault.stack, typing(PHRASE), quiet)  # what nasos up does next
        write_before_start(vault.stack)
        assert opens(vault.stack)
        with pytest.raises(StackError, match="is being replaced"):
            unprotect(vault.stack, nobody, quiet)
        memory.forget(vault.stack)
    assert rotate(vault.stack, quiet, typing(PHRASE)) == vault.protected
    assert sorted(p.name for p in vault.plain.parent.iterdir()) == ["unseal.key.age"]
    assert not in_memory(vault.stack).exists()
    new = unwrap(vault.protected, Secret(PHRASE))
    assert new != old
    make_ready(vault.stack, typing(PHRASE), quiet)
    assert opens(vault.stack)
    stale = vault.ram / "stale"
    stale.touch(mode=0o600)
    stale.write_bytes(old)
    config = vault_config(vault.stack, keys(vault.stack))
    with aside(place(vault.stack), replace(config, unseal_key=stale)) as api, pytest.raises(VaultSealed):
        system.wait_active(api, 3.0)
    unprotect(vault.stack, typing(PHRASE), quiet)  # where the next test finds it


class Killed(Exception):
    """A test ends the command here."""


def nobody_hears(text: str) -> None:
    """Nothing may have begun."""
    raise AssertionError(text)


def ending_at(step: int) -> Callable[[str], None]:
    """Ended when so many things were told."""
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) > step:
            raise Killed

    return tell


def child(vault: Vault, command: str, *typed: str, at: int) -> int:
    """The command in a process of its own, killed before its ``at``-th change of a file; its exit code."""
    words = [
        command,
        str(vault.stack.home.root),
        str(vault.plain),
        str(vault.stack.ports.vault),
        str(vault.ram),
        str(at),
    ]
    done = subprocess.run(
        [sys.executable, stack_child.__file__, *words], cwd=vault.stack.home.root, check=False, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(vault.stack.home.root)}, capture_output=True,
        input="".join(f"{line}\n" for line in typed),
    )  # fmt: skip
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("command", "typed", "least"),
    [
        pytest.param("protect", (PHRASE,), 3, id="protect"),
        pytest.param("unprotect", (PHRASE,), 3, id="unprotect"),
        pytest.param("protect", (PHRASE, OTHER), 2, id="another passphrase", marks=pytest.mark.long),
    ],
)
def test_killed_at_each_step_there_is_a_way_to_the_key(
    vault: Vault, command: str, typed: tuple[str, ...], least: int
) -> None:
    """`kill -9` before each file that is made, renamed or removed: the key is there, and the command completes."""
    key, kills = vault.plain.read_bytes(), 0
    if (command, len(typed)) != ("protect", 1):
        vault.protect()
    begin = {path: path.read_bytes() for path in vault.plain.parent.iterdir()}
    while child(vault, command, *typed, at=kills + 1):
        kills += 1
        if vault.plain.exists():
            assert vault.plain.read_bytes() == key
        else:
            now = PHRASE if vault.protected.read_bytes() == begin.get(vault.protected) else typed[-1]
            assert unwrap(vault.protected, Secret(now)) == key
        for path in vault.plain.parent.iterdir():
            path.unlink()
        for path, content in begin.items():
            path.touch(mode=0o600)
            path.write_bytes(content)
    assert kills >= least
    names = {path.name for path in vault.plain.parent.iterdir()}
    assert names == {"unseal.key" if command == "unprotect" else "unseal.key.age"}


@pytest.mark.parametrize("command", ["protect", "unprotect"])
def test_what_was_ended_half_way_starts_as_before_and_is_completed_by_the_same_command(
    vault: Vault, command: str
) -> None:
    """Both files lie there: the plain one counts, nobody is asked, it is said; a rotation waits until it is settled."""
    key = vault.protect()
    vault.plain.touch(mode=0o600)
    vault.plain.write_bytes(key)
    told: list[str] = []
    assert not make_ready(vault.stack, nobody, told.append)
    assert told == ["! the unseal key lies in plain beside the protected one: ./nasos vault seal-key protect"]
    assert keys(vault.stack) == Keys(vault.plain)
    with pytest.raises(StackError, match="in plain beside"):
        rotate(vault.stack, nobody_hears, nobody)
    if command == "protect":
        assert protect(vault.stack, nobody, typing(PHRASE), quiet) == vault.protected
        assert not vault.plain.exists()
    else:
        vault.plain.write_bytes(b"\7" * 32)
        with pytest.raises(StackError, match="another key"):
            unprotect(vault.stack, typing(PHRASE), quiet)
        vault.plain.write_bytes(key)
        assert unprotect(vault.stack, typing(PHRASE), quiet) == vault.plain
        assert not vault.protected.exists()


def test_the_key_stands_in_memory_or_nowhere(vault: Vault, tmp_path: Path) -> None:
    """A directory on a disk is refused before anybody is asked, and nothing is made in it."""
    on_a_disk = tmp_path / "runtime"
    stack = stack_of(
        vault.stack.home.root, vault.plain, vault.stack.ports.vault, more={"NASOS_RUNTIME_DIR": str(on_a_disk)}
    )
    with pytest.raises(StackError, match="in memory only") as refused:
        protect(stack, nobody, nobody, quiet)
    assert "NASOS_RUNTIME_DIR=/dev/shm" in str(refused.value.hint)
    assert vault.plain.exists()
    vault.protect()
    with pytest.raises(StackError, match="in memory only"):
        make_ready(stack, nobody, quiet)
    assert not on_a_disk.exists()


def test_at_boot_nobody_could_give_the_passphrase(vault: Vault) -> None:
    """A unit of the stack is refused with what to do; with a key file it is not."""
    stack = vault.stack
    stack.home.record_path.write_bytes(
        b'{"id": "t", "ports": %s}' % msgspec.json.encode(msgspec.structs.replace(stack.ports, vault_cluster=1))
    )
    try:
        require_unattended(stack.settings)
        vault.protect()
        with pytest.raises(StackError, match="at boot there is nobody") as refused:
            require_unattended(stack.settings)
        assert "unprotect" in str(refused.value.hint)
    finally:
        stack.home.record_path.unlink()


def test_recovery_asks_for_the_passphrase_too(vault: Vault) -> None:
    """The stack is down: its passphrase, then the recovery key; afterwards the key is not in memory."""
    [recovery] = msgspec.json.decode((vault.stack.home.root / "recovery.json").read_bytes())["keys"]
    vault.protect()
    with pytest.raises(StackError, match="passphrase is wrong"):
        recover(vault.stack, GivenShares(iter([Secret(recovery)])), nobody_hears, typing(OTHER))
    report = recover(vault.stack, GivenShares(iter([Secret(recovery)])), quiet, typing(PHRASE))
    assert report.steps
    assert not in_memory(vault.stack).exists()


# --- systemd's credential ---


@pytest.fixture
def passed(vault: Vault, ram: Path) -> Iterator[Vault]:
    """The same stack as systemd starts it: the key in a read-only directory, and not on the disk."""
    assert vault.stack.settings.key_dir
    directory = ram / "credentials"
    directory.mkdir()
    shutil.copy(vault.plain, directory / NAME)
    (directory / NAME).chmod(0o400)
    directory.chmod(0o500)
    # Where no key directory is configured; the usual one is below the home of whoever runs the tests.
    more = {"NASOS_RUNTIME_DIR": str(ram), "CREDENTIALS_DIRECTORY": str(directory)}
    loaded = stack_of(vault.stack.home.root, None, vault.stack.ports.vault, "static", more).settings
    assert loaded.credentials_dir == directory
    settings = replace(vault.stack.settings, credentials_dir=loaded.credentials_dir)
    yield Vault(replace(vault.stack, settings=settings), ram)
    directory.chmod(0o700)


def test_a_key_directory_that_is_configured_beats_systemds(vault: Vault, ram: Path) -> None:
    """`NASOS_KEY_DIR` says where the key is: nothing else is looked at."""
    more = {"CREDENTIALS_DIRECTORY": str(ram)}
    assert stack_of(vault.stack.home.root, vault.plain, 1, more=more).settings.credentials_dir is None


def test_systemd_passes_the_key(passed: Vault) -> None:
    """Nobody is asked; the vault opens from memory, also for commands that systemd did not start."""
    content = passed.plain.read_bytes()
    passed.plain.unlink()
    assert make_ready(passed.stack, nobody, quiet)
    assert in_memory(passed.stack).read_bytes() == content
    assert in_memory(passed.stack).stat().st_mode & 0o777 == 0o600
    by_hand = replace(passed.stack, settings=replace(passed.stack.settings, credentials_dir=None))
    write_before_start(by_hand)
    assert not passed.plain.exists()
    assert opens(by_hand)
    assert not make_ready(by_hand, nobody, quiet)
    with pytest.raises(StackError, match="systemd passes"):
        rotate(by_hand, nobody_hears, nobody)
    with pytest.raises(StackError, match="systemd passes"):
        protect(by_hand, nobody, nobody, nobody_hears)
    memory.forget(passed.stack)
    with pytest.raises(StackError, match="is gone") as gone:
        keys(by_hand)
    assert "systemd" in str(gone.value.hint)


def test_a_key_on_the_disk_beside_systemds_is_said_and_a_different_one_refused(passed: Vault) -> None:
    """The disk's counts; one that differs would leave the vault sealed without a reason."""
    told: list[str] = []
    assert not make_ready(passed.stack, nobody, told.append)
    assert told == [f"! systemd passes the unseal key, and it lies on the disk in plain: rm {passed.plain}"]
    passed.plain.write_bytes(b"\7" * 32)
    with pytest.raises(StackError, match="another one than"):
        make_ready(passed.stack, nobody, quiet)
    passed.plain.unlink()
    passed.protected.touch(mode=0o600)
    with pytest.raises(StackError, match="which of them"):
        make_ready(passed.stack, nobody, quiet)


@pytest.mark.parametrize(("mode", "content"), [(0o404, b"k" * 32), (0o400, b"k" * 31), (0o400, b"k" * 33)])
def test_a_credential_that_is_open_or_no_key_is_refused(tmp_path: Path, mode: int, content: bytes) -> None:
    """Neither is used; what an ACL for the unit's user looks like is (acl(5): its mask shows as the group's)."""
    path = tmp_path / NAME
    assert given(None) is None
    assert given(tmp_path) is None
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(FileRefused):
        given(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"k" * 32)
    path.chmod(0o440)
    assert given(tmp_path) == b"k" * 32
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(FileRefused):
        given(tmp_path)
