"""An old bot with real trades, a real Vault and PostgreSQL to move into."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.demo_exchange import BOT_BIN, PROJECT
from fixtures.moving import Move
from fixtures.old_bot import old_bot, write_trades
from fixtures.postgres import PostgresUnderTest
from fixtures.vault import VaultUnderTest
from nasos.bot.moving.converter import Converter
from nasos.bot.moving.importing import Ground
from nasos.bot.moving.journal import Desk
from nasos.ledger import Ledger
from nasos.settings import child_environment
from nasos.stack import postgres as pg
from nasos.stack.trade_database import TradeDatabase
from nasos.vault import VaultClient
from simulators.quick_converter import quick_converter

_NUMBERS = itertools.count()

CONVERTER = f"""#!{BOT_BIN}/python -I
import sys
sys.path.insert(0, {str(PROJECT / "src")!r})
from nasos.bot.moving.child import main
main(sys.argv[sys.argv.index('nasos.bot.moving.child') + 1 :])
"""


@pytest.fixture(scope="session")
def trades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that freqtrade wrote."""
    return write_trades(tmp_path_factory.mktemp("trades") / "trades.sqlite")


@pytest.fixture(scope="session")
def converting_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bot's own interpreter, with this checkout's code instead of the installed copy."""
    path = tmp_path_factory.mktemp("converter") / "python"
    path.write_text(CONVERTER)
    path.chmod(0o755)
    return path


@pytest.fixture
def move(
    tmp_path: Path, trades: Path, vault: VaultUnderTest, postgres: PostgresUnderTest, converting_python: Path
) -> Iterator[Callable[..., Move]]:
    """Make old bots of different names, each with a move of its own; ``real`` converts with freqtrade."""
    client = VaultClient(vault.connection("operator"), prefix="nasos")

    def make(*, real: bool = False, **more: object) -> Move:
        name = f"moved{next(_NUMBERS)}"
        said: list[str] = []

        def ready() -> None:
            pg.provision(postgres.server, postgres.admin, name, pg.bot_login(client, name))

        database = TradeDatabase(postgres.server, postgres.admin, name, ready)
        place = tmp_path / name
        old = old_bot(place / "freqtrade", trades, **more)
        ground = Ground(
            vault=client,
            target=database,
            convert=Converter(
                python=converting_python,
                login=lambda: client.read(f"bots/{name}/db"),
                environment=child_environment(),
                readable=(postgres.server.ca_file,),
            )
            if real
            else quick_converter(postgres.server, postgres.admin, name),
            append=Ledger(place / "events.jsonl", "operator").append,
            say=said.append,
            here=old.place,
        )
        return Move(name, old, ground, Desk(place / "import"), database, said)

    yield make
    client.close()
