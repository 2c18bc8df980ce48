"""The unseal key as a credential that systemd passes: nobody is asked, and what else lies on the disk is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.sealing import Vault, nobody_hears, opens, quiet
from fixtures.stack_child import nobody, stack_of
from nasos.errors import FileRefused, StackError
from nasos.stack.configuration import write_before_start
from nasos.stack.seal import memory
from nasos.stack.seal.credential import NAME, given
from nasos.stack.seal.keys import in_memory, keys
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.protection import protect
from nasos.stack.seal.rotation import rotate


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
