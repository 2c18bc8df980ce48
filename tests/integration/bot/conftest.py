"""A launcher, a Vault in the test's hand and a bot that behaves as badly as wanted; all are real processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.launched import API, EXCHANGE, SIMULATORS, HeldVault, Start


@pytest.fixture
def held_vault() -> Iterator[HeldVault]:
    """A Vault with an ``api`` and an ``exchange`` record."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("exchange", EXCHANGE)
    yield vault
    os.close(vault.fd)


@pytest.fixture
def fake_python(tmp_path: Path) -> Path:
    """An "interpreter" that is our misbehaving bot."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I {SIMULATORS / "fake_freqtrade.py"} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def start(tmp_path: Path, held_vault: HeldVault, fake_python: Path) -> Iterator[Start]:
    """Start a launcher; whatever is left at the end is killed."""
    starter = Start(tmp_path, held_vault, fake_python)
    yield starter
    starter.end()
