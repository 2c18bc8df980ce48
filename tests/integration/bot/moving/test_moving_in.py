"""An old bot moves in and out again, on a real OpenBao and PostgreSQL, with freqtrade's own converter."""

from __future__ import annotations

import json
import sqlite3
import stat
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from canary import Canary
from fixtures.moving import Move
from fixtures.old_bot import PLANTED
from nasos.bot.freqtrade import secrets_in
from nasos.bot.moving import importing
from nasos.bot.moving.read import sources
from nasos.errors import BotError, SecretNotFound, UsageError
from nasos.secret import Secret
from nasos.vault.store import SecretStore

Make = Callable[..., Move]


def test_everything_is_where_it_belongs_afterwards(move: Make, tmp_path: Path) -> None:
    """Secrets in Vault, trades in PostgreSQL, a clean configuration; nothing secret on the disk but the backup."""
    one = move(real=True)
    before = one.old.snapshot()
    plan = one.look()
    journal = one.apply()
    assert one.fields("exchange") == {
        "api_key": PLANTED["exchange.key"],
        "secret": PLANTED["exchange.secret"],
        "password": PLANTED["env.passphrase"],
    }
    assert json.loads(one.fields("ccxt")["headers"]) == {"X-Auth": PLANTED["exchange.header"]}
    assert json.loads(one.fields("api")["ws_token"])[0] == PLANTED["api.ws"]
    assert one.fields("telegram") == {"token": PLANTED["telegram.token"], "chat_id": "4242"}
    clean = json.loads(one.old.config.read_text())
    assert list(secrets_in(clean)) == []
    assert clean["db_url"] == one.database.url
    assert clean["stake_amount"] == 50
    assert one.old.env.read_text() == "# mine\nTZ=UTC\nFREQTRADE__STAKE_AMOUNT=50\n"
    assert journal.trades
    assert str(journal.trades.contents).startswith("2 open and 3 closed trades, 8 orders")
    after = one.old.snapshot()
    assert {name for name in before if before[name] != after[name]} == {"user_data/config.json", ".env"}
    assert stat.S_IMODE(one.old.config.stat().st_mode) == 0o640
    canary = Canary({name: value.encode() for name, value in PLANTED.items()})
    hits = {hit.where for hit in canary.in_tree(tmp_path) if f"{one.desk.backup}/" not in hit.where}
    assert hits == set()
    said = "\n".join([*one.said, *plan.steps(), *plan.remarks, *plan.findings, *map(repr, (plan, journal))])
    assert list(canary.in_bytes(said.encode(), "said")) == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in one.desk.backup.iterdir()} == {0o600}


def test_undo_restores_the_old_installation_byte_for_byte(move: Make) -> None:
    """Content, mode and time of every file; no record, no trade of ours is left."""
    one = move()
    before = one.old.snapshot()
    one.apply()
    assert one.old.snapshot() != before
    assert one.undo() == []
    assert one.old.snapshot() == before
    assert one.ground.vault.list(f"bots/{one.bot}") == ()
    assert one.database.tables() == ()
    assert not one.desk.directory.exists()
    with pytest.raises(UsageError, match="no import to undo"):
        one.undo()


def test_undo_takes_back_our_versions_only(move: Make) -> None:
    """What stood there before is current again; what somebody stored since stays, and is told."""
    one = move()
    vault, folder = one.ground.vault, f"bots/{one.bot}"
    vault.write(f"{folder}/telegram", {"token": "of mine", "topic_id": "7"})
    one.apply()
    assert one.fields("telegram") == {"token": PLANTED["telegram.token"], "chat_id": "4242", "topic_id": "7"}
    vault.write(f"{folder}/exchange", {"api_key": "rotated"})
    assert one.undo() == [f"{folder}/exchange was written again since (version 2); that one stays"]
    assert one.fields("telegram") == {"token": "of mine", "topic_id": "7"}
    assert one.fields("exchange") == {"api_key": "rotated"}
    for path, version in ((f"{folder}/telegram", 2), (f"{folder}/exchange", 1)):
        assert next(each for each in vault.history(path) if each.number == version).destroyed


def test_trades_that_were_made_since_are_not_dropped_unasked(move: Make) -> None:
    """The SQLite file does not know of them."""
    one = move()
    one.apply()
    list(one.database.rows("UPDATE trades SET max_rate = 0.5 WHERE id = 4 RETURNING id"))
    with pytest.raises(BotError, match="rows of trades differ") as refused:
        one.undo()
    assert "--discard-trades" in (refused.value.hint or "")
    one.undo(discard=True)
    assert one.database.tables() == ()


def test_an_edited_clean_file_is_kept_beside_the_restored_one(move: Make) -> None:
    """Nobody's work is lost."""
    one = move()
    one.apply()
    one.old.config.write_text('{"mine": 1}')
    [told] = one.undo()
    assert "config.json.after-import" in told
    assert one.old.config.with_name("config.json.after-import").read_text() == '{"mine": 1}'


def test_a_second_import_finds_nothing_to_do(move: Make) -> None:
    """Unconfirmed it says so; confirmed, the clean files hold nothing to move."""
    one = move()
    one.apply()
    with pytest.raises(UsageError, match="import of other files"):
        one.look(env=None)
    importing.confirm(one.ground, one.desk)
    assert not one.desk.directory.exists()
    assert one.look().nothing
    with pytest.raises(UsageError, match="no finished import"):
        importing.confirm(one.ground, one.desk)


def test_a_target_with_trades_is_refused_before_anything_is_done(move: Make) -> None:
    """Another bot's trades, or this one's: told by table and count."""
    one = move()
    one.apply()
    importing.confirm(one.ground, one.desk)
    other = move()
    again = Move(one.bot, other.old, replace(one.ground, here=other.old.place), one.desk, one.database, one.said)
    before = again.old.snapshot()
    with pytest.raises(BotError, match="not empty: 5 in trades, 8 in orders") as refused:
        again.apply()
    assert "--name" in (refused.value.hint or "")
    assert again.old.snapshot() == before
    assert again.desk.load() is None


def test_a_source_that_changes_meanwhile_aborts(move: Make) -> None:
    """The old bot was started again in mid-import."""
    one = move()
    convert = one.ground.convert

    def meanwhile(source: Path, url: str) -> None:
        convert(source, url)
        with closing(sqlite3.connect(one.old.database)) as database, database:
            database.execute("UPDATE trades SET max_rate = 9")

    with pytest.raises(BotError, match="changed while it was copied"):
        importing.apply(replace(one.ground, convert=meanwhile), one.desk, one.look())
    assert one.database.tables() == ()


class Contested:
    """A Vault where somebody else is always a moment faster, at one path."""

    def __init__(self, vault: SecretStore, path: str) -> None:
        self._vault, self._path = vault, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def write(self, path: str, fields: Mapping[str, Secret], cas: int | None = None) -> int:
        """Second."""
        if path == self._path:
            self._vault.write(path, {"token": "somebody else's"})
        return self._vault.write(path, fields, cas)


def test_a_record_that_somebody_else_wrote_meanwhile_is_not_overwritten(move: Make) -> None:
    """Check-and-set, and the words that say it."""
    one = move()
    plan, contested = one.look(), Contested(one.ground.vault, f"bots/{one.bot}/telegram")
    with pytest.raises(BotError, match="somebody else wrote it"):
        importing.apply(replace(one.ground, vault=cast("SecretStore", contested)), one.desk, plan)
    assert one.fields("telegram") == {"token": "somebody else's"}
    one.undo()
    assert one.fields("telegram") == {"token": "somebody else's"}
    with pytest.raises(SecretNotFound):
        one.ground.vault.read(f"bots/{one.bot}/exchange")


@pytest.mark.parametrize("chosen", ["keep", "none"])
def test_trades_may_stay_or_be_left(move: Make, chosen: str) -> None:
    """SQLite keeps its URL; without trades the bot begins with an empty PostgreSQL."""
    one = move(db_url="sqlite:///tradesv3.dryrun.sqlite")
    one.apply(trades=chosen)
    url = json.loads(one.old.config.read_text())["db_url"]
    assert url == ("sqlite:///tradesv3.dryrun.sqlite" if chosen == "keep" else one.database.url)
    assert one.database.tables() == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trades SET max_rate = 9 WHERE id = 4",
        "UPDATE trades SET open_date = open_date + interval '1 microsecond' WHERE id = 1",
        "UPDATE trades SET is_open = false WHERE id = 5",
        "UPDATE trades SET enter_tag = 'tag u' WHERE id = 2",
        "DELETE FROM orders WHERE id = 8",
        "INSERT INTO pairlocks (id) VALUES (7)",
        "UPDATE trade_custom_data SET cd_value = NULL",
    ],
)
def test_the_comparison_sees_every_column(move: Make, change: str) -> None:
    """A converter that loses a row, a digit, a microsecond or an accent is caught, and the old stays."""
    one = move()
    before, convert = one.old.snapshot(), one.ground.convert

    def careless(source: Path, url: str) -> None:
        convert(source, url)
        list(one.database.rows(f"{change} RETURNING id"))

    with pytest.raises(BotError, match=r"rows? ") as caught:
        importing.apply(replace(one.ground, convert=careless), one.desk, one.look())
    assert "the trades were not taken over" in caught.value.message
    assert one.database.tables() == ()
    assert one.old.snapshot() == before
    assert one.apply().state == "done"


def test_what_is_left_is_what_freqtrade_would_read(move: Make) -> None:
    """No byte order mark, no comment, one object: freqtrade's own parser takes it."""
    one = move()
    one.apply()
    [source] = sources([one.old.config], Path.read_bytes)
    assert not source.comments
    assert not source.remarks
