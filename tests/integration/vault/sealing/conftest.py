"""A Vault that was bootstrapped once, down, with its key in a plain file before and after each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.sealing import Vault
from fixtures.stack_child import stack_of
from fixtures.vault import Server


@pytest.fixture
def ram() -> Iterator[Path]:
    """A directory in memory."""
    path = Path(tempfile.mkdtemp(prefix="nasos-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
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
