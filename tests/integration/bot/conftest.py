"""A launcher, a Vault in the test's hand and a bot that behaves as badly as wanted; all are real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulators.launched import API, EXCHANGE, SIMULATORS, HeldVault, Launched, Start, alive


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
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "base.json").write_text('{"max_open_trades": 3, // mine\n}')
    launched: list[Launched] = []

    def begin(
        act: str = "hang", subcommand: str = "trade", python: Path = fake_python, wrapper: tuple[str, ...] = (), **options: Any
    ) -> Launched:
        number = len(launched)
        report = tmp_path / f"report-{number}"
        words = ["freqtrade", subcommand, "-c", str(home / "base.json"), "--report", str(report), "--act", act]
        options = {"home": str(home), "python": str(python), "vault": held_vault.fd, "words": words} | options
        out, error = tmp_path / f"out-{number}", tmp_path / f"error-{number}"
        with out.open("wb") as stdout, error.open("wb") as stderr:
            process = subprocess.Popen(
                [*wrapper, sys.executable, str(SIMULATORS / "launcher.py"), json.dumps(options)],
                stdout=stdout, stderr=stderr, pass_fds=[held_vault.fd],
                env={**os.environ, "VAULT_TOKEN": "planted-vault-token-8K", "SOMETHING_OF_MINE": "1"},
            )  # fmt: skip
        launched.append(Launched(process, home, report, out, error))
        return launched[-1]

    yield begin
    for one in launched:
        one.reports()
        one.process.kill()
        one.process.wait()
        for pid in one.pids:
            with contextlib.suppress(ProcessLookupError):
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)
