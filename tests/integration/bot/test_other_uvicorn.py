"""A bot whose API server is not the one that we know."""

from __future__ import annotations

from pathlib import Path

from simulators.launched import HeldVault, Start
from simulators.trading import Ground

IDLE = """
from freqtrade.strategy import IStrategy

class Idle(IStrategy):
    timeframe, stoploss, minimal_roi = "5m", -0.9, {"0": 9}
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
"""


def test_an_api_that_would_not_be_encrypted_ends_the_bot(
    tmp_path: Path, held_vault: HeldVault, other_uvicorn_python: Path, exchange: int
) -> None:
    """It does not trade on in plain text: what is missing is named, and what to install (twin: test_swap.py)."""
    start = Start(tmp_path, held_vault, other_uvicorn_python)
    ground = Ground.prepare(start, held_vault, IDLE, exchange)
    try:
        launched = ground.run("trade", restart=False)
        assert launched.process.wait(120) not in (0, 130)
        said = launched.error.read_text()
        assert "has no UvicornServer with ssl_context_factory" in said
        assert "its API would not be encrypted" in said
        assert "install freqtrade" in said
    finally:
        start.end()
