"""The real freqtrade, the demo exchange, and a week of the synthetic market on disk."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.demo_exchange import STRATEGIES, Freqtrade, freqtrade_command, running_exchange
from nasos.settings import child_environment
from nasos.stack.demo_exchange import ccxt_config


@pytest.fixture(scope="session")
def exchange() -> Iterator[int]:
    """The port of a running demo exchange."""
    with running_exchange() as port:
        yield port


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory, exchange: int) -> Path:
    """A directory with freqtrade's configuration and user data."""
    place = tmp_path_factory.mktemp("freqtrade")
    (place / "user_data" / "strategies").mkdir(parents=True)
    shutil.copy(STRATEGIES / "NASOSv5_mod3.py", place / "user_data" / "strategies")
    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    configuration = {
        "max_open_trades": 3,
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run": True,
        "dry_run_wallet": 1000,
        "trading_mode": "spot",
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "exchange": ccxt_config(exchange),
        "pairlists": [{"method": "StaticPairList"}],
        "initial_state": "running",
        "force_entry_enable": False,
    }
    (place / "config.json").write_text(json.dumps(configuration))
    return place


@pytest.fixture(scope="session")
def freqtrade(workplace: Path) -> Freqtrade:
    """Run a freqtrade command to its end and return what it printed."""

    def run(name: str, *arguments: str) -> str:
        done = subprocess.run(
            freqtrade_command(workplace, name, *arguments),
            env=child_environment() | {"COLUMNS": "250"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def week(freqtrade: Freqtrade, workplace: Path) -> Path:
    """Candles of nine days of March 2024 on disk, fetched by freqtrade's own downloader."""
    freqtrade("download-data", "--timerange", "20240301-20240310", "-t", "5m", "15m")
    return workplace / "user_data" / "data" / "binance"
