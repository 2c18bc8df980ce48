"""Protecting the unseal key, and taking the passphrase away, ended half way: there is always a way to the key."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fixtures import stack_child
from fixtures.sealing import OTHER, PHRASE, Vault, nobody_hears, quiet, typing
from fixtures.stack_child import nobody
from nasos.errors import StackError
from nasos.secret import Secret
from nasos.stack.seal.keys import Keys, keys
from nasos.stack.seal.opening import make_ready
from nasos.stack.seal.protection import protect, unprotect
from nasos.stack.seal.rotation import rotate
from nasos.stack.seal.wrapping import unwrap


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
