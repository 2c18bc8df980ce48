"""The unseal key under a passphrase: a stolen disk is worthless, a person opens it, and nothing is lost on the way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fixtures.sealing import OTHER, PHRASE, Killed, Vault, ending_at, nobody_hears, opens, quiet, typing
from fixtures.stack_child import nobody, stack_of
from nasos.errors import RotationError, StackError, UsageError, VaultSealed
from nasos.ledger import read
from nasos.secret import Secret
from nasos.stack.aside import aside
from nasos.stack.backup.save import unseal_key
from nasos.stack.boot import require_unattended
from nasos.stack.configuration import vault_config, write_before_start
from nasos.stack.recover import recover
from nasos.stack.rotation.vault import SealKey
from nasos.stack.seal import memory
from nasos.stack.seal.keys import in_memory, keys
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.protection import protect, unprotect
from nasos.stack.seal.rotation import rotate
from nasos.stack.seal.wrapping import unwrap
from nasos.stack.stopped import place
from nasos.vault import system
from nasos.vault.regain import GivenShares


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
