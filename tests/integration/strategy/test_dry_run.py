"""The bot trades by itself: the strategy's own signal, on the demo exchange, in dry-run."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from fixtures.demo_exchange import freqtrade_command

WITHIN = 90
"""Seconds from starting freqtrade to the first filled entry, as promised to a newcomer."""


def test_the_first_trade_opens_by_the_strategys_own_signal(workplace: Path, tmp_path: Path) -> None:
    """Within ninety seconds of the start an entry of the strategy is filled; nobody forced it."""
    database, log = tmp_path / "trades.sqlite", tmp_path / "log"
    argv = freqtrade_command(workplace, "trade", "--strategy", "NASOSv5_mod3", "--db-url", f"sqlite:///{database}")
    with log.open("w") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as bot:
        try:
            found = _filled(database, bot)
        finally:
            bot.terminate()
    assert found, log.read_text()[-3000:]
    assert {tag for _, tag in found} <= {"ewo1", "ewo2", "ewolow"}
    assert "deprecat" not in log.read_text().lower()


def _filled(database: Path, bot: subprocess.Popen[bytes]) -> list[tuple[str, str]]:
    """Pair and tag of the entries that were filled, as soon as there is one."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline and bot.poll() is None:
        rows = _rows(database)
        if rows:
            return rows
        time.sleep(0.2)
    return []


def _rows(database: Path) -> list[tuple[str, str]]:
    if not database.exists():
        return []
    query = "SELECT pair, enter_tag FROM trades WHERE is_open AND amount > 0"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return list(connection.execute(query))
        except sqlite3.OperationalError:  # the tables are not there yet
            return []
