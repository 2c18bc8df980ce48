"""An import is killed at every one of its steps: run again it completes, and undo restores the old installation."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.old_bot import PLANTED, OldBot, old_bot, write_trades
from fixtures.postgres import PostgresUnderTest
from fixtures.vault import VaultUnderTest
from nasos.bot.freqtrade import secrets_in
from nasos.bot.moving.journal import Desk
from nasos.bot.moving.trades import contents
from nasos.settings import AppRole
from nasos.stack.trade_database import TradeDatabase
from nasos.vault import VaultClient

IMPORTER = Path(__file__).parents[1] / "simulators" / "importer.py"
RUNS = 200
"""More than an import has steps: the chain ends when a run is not killed any more."""


@dataclass
class Ground:
    """An old bot and its move, run in processes that die."""

    bot: str
    old: OldBot
    options: dict[str, object]
    vault: VaultClient
    database: TradeDatabase

    def run(self, how: str, die: int) -> int:
        """One process; minus the signal that killed it, or its exit code."""
        done = subprocess.run(
            [sys.executable, str(IMPORTER), json.dumps({**self.options, "how": how, "die": die})],
            capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "PYTHONPATH": str(IMPORTER.parents[1])},
        )  # fmt: skip
        if "no import to undo" in done.stderr:
            return 0  # the run before was killed after its very last step
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode

    def killed_ever_later(self, how: str) -> int:
        """Kill the first run at its first step, the next at its second, and so on; how many were killed."""
        return next(step - 1 for step in range(1, RUNS) if self.run(how, step) == 0)

    def require_moved(self) -> None:
        """Everything is where it belongs."""
        fields = self.vault.read(f"bots/{self.bot}/exchange").fields
        assert fields["api_key"].reveal() == PLANTED["exchange.key"]
        assert self.vault.metadata(f"bots/{self.bot}/exchange").current == 1
        assert list(secrets_in(json.loads(self.old.config.read_text()))) == []
        assert contents(self.database.rows, self.database.tables()).counts["trades"] == 5

    def require_old(self, before: object) -> None:
        """Nothing of ours is left."""
        assert self.old.snapshot() == before
        assert self.vault.list(f"bots/{self.bot}") == ()
        assert self.database.tables() == ()


Make = Callable[[str], Ground]


@pytest.fixture(scope="module")
def trades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that freqtrade wrote."""
    return write_trades(tmp_path_factory.mktemp("trades") / "trades.sqlite")


@pytest.fixture
def ground(tmp_path: Path, trades: Path, vault: VaultUnderTest, postgres: PostgresUnderTest) -> Iterator[Make]:
    """Make old bots by name."""
    connection = vault.connection("operator")
    assert isinstance(connection.credential, AppRole)
    client = VaultClient(connection, prefix="nasos")
    login = tmp_path / "admin"
    login.touch(0o600)
    login.write_text(f"{postgres.admin.username}\n{postgres.admin.password.reveal()}")

    def make(bot: str) -> Ground:
        old = old_bot(tmp_path / bot / "freqtrade", trades)
        assert isinstance(connection.credential, AppRole)
        options: dict[str, object] = {
            "bot": bot,
            "old": str(old.place),
            "desk": str(tmp_path / bot / "import"),
            "vault": [connection.address, str(connection.ca_file), str(connection.credential.secret_id_file)],
            "server": [postgres.server.port, str(postgres.server.ca_file)],
            "admin": str(login),
        }
        database = TradeDatabase(postgres.server, postgres.admin, bot, lambda: None)
        return Ground(bot, old, options, client, database)

    yield make
    client.close()


def test_killed_at_each_step_in_turn_it_completes_and_undo_goes_back(ground: Make) -> None:
    """Every run gets one step further than the one before it; then the same for the way back."""
    one = ground("chain")
    before = one.old.snapshot()
    assert one.killed_ever_later("import") > 5
    one.require_moved()
    assert one.killed_ever_later("undo") > 5
    one.require_old(before)


@pytest.mark.long
def test_undo_goes_back_from_each_step(ground: Make) -> None:
    """An import that was killed anywhere leaves nothing behind after an undo."""
    for step in range(1, RUNS):
        one = ground(f"step{step}")
        before = one.old.snapshot()
        code = one.run("import", step)
        if Desk(Path(str(one.options["desk"]))).load() is not None:
            one.run("undo", 0)
        one.require_old(before)
        if code == 0:
            assert step > 20
            return
    raise AssertionError("it never ended")
