"""A launcher, a Vault in the test's hand and a bot that behaves as badly as wanted; all are real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.postgres import BotDatabase, PostgresUnderTest
from nasos.database import Login, connect, set_password
from nasos.secret import Secret
from simulators.launched import API, DATABASE, EXCHANGE, JWT, SECOND_LOGIN, SIMULATORS, HeldVault, Start

PROJECT = SIMULATORS.parents[1]


@pytest.fixture
def held_vault() -> Iterator[HeldVault]:
    """A Vault with an ``api`` and an ``exchange`` record."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", EXCHANGE)
    yield vault
    os.close(vault.fd)


@pytest.fixture
def planted_database(postgres: PostgresUnderTest) -> BotDatabase:
    """The bot's PostgreSQL, whose two roles have the planted passwords."""
    database = postgres.bot("testbot")
    with connect(postgres.server, postgres.admin) as db:
        for fields in (DATABASE, SECOND_LOGIN):
            set_password(db, Login(fields["username"], Secret(fields["password"]), "testbot"))
    return database


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


BOT = """#!{project}/.venv-bot/bin/python -I
import sys
sys.path.insert(0, {source!r})
from nasos.bot import sandbox
if {unconfined}:
    sandbox.enter = lambda confinement: 0
{before}
from nasos.bot.entry import main
main(sys.argv[sys.argv.index('nasos.bot.entry') + 1 :])
"""
"""The bot's own interpreter, with this checkout's code instead of the installed copy."""


@pytest.fixture(scope="session")
def bot_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the launcher starts it."""
    return _python(tmp_path_factory, unconfined=False)


@pytest.fixture(scope="session")
def unconfined_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The negative twin: all the same, but the sandbox is not entered."""
    return _python(tmp_path_factory, unconfined=True)


@pytest.fixture(scope="session")
def strange_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A freqtrade whose inside is not what we know: its API asks for its credentials in another way."""
    before = "from freqtrade.rpc.api_server import api_auth\napi_auth.get_api_config = lambda: {}"
    return _python(tmp_path_factory, unconfined=True, before=before)


@pytest.fixture(scope="session")
def other_uvicorn_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A uvicorn that takes no TLS context of ours: its configuration knows other parameters."""
    before = (
        "import uvicorn\nuvicorn.Config = type('Config', (), {'__init__': lambda self, app, ssl_keyfile=None: None})"
    )
    return _python(tmp_path_factory, unconfined=False, before=before)


def _python(tmp_path_factory: pytest.TempPathFactory, *, unconfined: bool, before: str = "") -> Path:
    path = tmp_path_factory.mktemp("python") / "python"
    source = str(PROJECT / "src")
    path.write_text(BOT.format(project=PROJECT, source=source, unconfined=unconfined, before=before))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def exchange() -> Iterator[int]:
    """The demo exchange's port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nasos.stack.demo_exchange", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    port = int(process.stdout.readline().rpartition(":")[2])
    yield port
    process.terminate()
    process.wait(30)
    process.stdout.close()
