"""The trades, from the SQLite file into PostgreSQL, compared row by row.

Rules: into an empty database only, or over what an earlier run of this very import left there; a difference, or a
source that changed meanwhile, takes everything out again. What somebody traded on the new database since is never
dropped unless the operator gives it up by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from nasos.bot.moving.journal import Desk, Journal, Moved
from nasos.bot.moving.trades import (
    TABLES,
    Contents,
    contents,
    copy,
    counts,
    difference,
    fingerprint,
    identities,
    sqlite_rows,
)
from nasos.errors import BotError

Convert = Callable[[Path, str], None]
"""Our copy of the SQLite file, and the URL of an empty PostgreSQL database."""

_NAME: Final = "trades.sqlite"


class Target(Protocol):
    """The bot's database in PostgreSQL."""

    @property
    def url(self) -> str:
        """Without login."""
        ...

    def tables(self) -> tuple[str, ...]:
        """Freqtrade's tables that are there; none also when there is no database."""

    def rows(self, statement: str) -> Iterable[Mapping[str, object]]:
        """What a statement without parameters gives."""

    def drop(self) -> None:
        """Take all of freqtrade's tables out."""


def require_empty(target: Target, bot: str) -> None:
    """Refuse a database that somebody uses.

    Raises:
        BotError: It holds rows; says which.
    """
    found = _held(target)
    if not found.empty:
        there = ", ".join(f"{count} in {table}" for table, count in found.counts.items() if count)
        raise BotError(
            f'the PostgreSQL database of the bot "{bot}" is not empty: {there}',
            "give the imported bot another name: --name mine",
        )


def require_ours(desk: Desk, journal: Journal, target: Target, *, discard: bool) -> None:
    """Refuse to drop what is not what we copied.

    Raises:
        BotError: Trades were made in PostgreSQL since.
    """
    moved = journal.trades
    if moved is None or moved.state == "wanted" or discard or _held(target).empty:
        return
    if moved.state == "begun":
        _require_part(desk, target)
    elif moved.contents and (changed := difference(moved.contents, _held(target))):
        raise BotError(
            f"the new bot has worked since the import ({changed}), and the SQLite file does not know of it",
            "nasos bot import --undo --discard-trades gives that up",
        )


def move(  # noqa: PLR0913, PLR0917  two databases, who copies, and who is asked in between
    desk: Desk, journal: Journal, target: Target, convert: Convert, require_stopped: Callable[[], None],
    say: Callable[[str], object],
) -> None:  # fmt: skip
    """Copy and compare, or find that it was done.

    Raises:
        BotError: They differ, the source changed, or the target is not empty; nothing of ours is left there.
    """
    moved = journal.trades
    if moved is None or moved.state == "proven":
        return
    require_stopped()
    source, work = Path(moved.source), desk.work / _NAME
    before = _copied(source, work, moved)
    if moved.state == "wanted":
        require_empty(target, journal.bot)
        moved.state = "begun"
        desk.save(journal)
    elif target.tables():
        _require_part(desk, target)
    target.drop()
    say(f"copying the trades of {source}")
    convert(work, target.url)
    found, wrong = _compared(work, target, before)
    if wrong is None and fingerprint(source) != moved.digest:
        wrong = f"{source} changed while it was copied: the old bot works again"
    if wrong:
        target.drop()
        moved.state, moved.digest = "wanted", ""
        desk.save(journal)
        raise BotError(f"the trades were not taken over: {wrong}", "everything of the old bot is as it was")
    require_stopped()
    moved.state, moved.contents = "proven", found
    desk.save(journal)
    say(f"every row is the same in both: {found}")


def _copied(source: Path, work: Path, moved: Moved) -> dict[str, int]:
    moved.digest = copy(source, work)
    with sqlite_rows(work) as (rows, tables):
        if tables and "trades" not in tables:
            raise BotError(f"{source} is not a database of freqtrade", "--database FILE")
        return counts(rows, tables)


def _compared(work: Path, target: Target, before: dict[str, int]) -> tuple[Contents, str | None]:
    with sqlite_rows(work) as (rows, tables):
        found = contents(rows, tables)
    for table, count in before.items():
        if found.counts.get(table, 0) != count:
            return found, f"freqtrade's migration made {found.counts.get(table, 0)} of {count} rows of {table}"
    return found, difference(found, _held(target))


def _held(target: Target) -> Contents:
    return contents(target.rows, set(target.tables()) & set(TABLES))


def _require_part(desk: Desk, target: Target) -> None:
    """What a killed copy left is a part of the source; anything else is somebody's."""
    with sqlite_rows(desk.work / _NAME) as (rows, tables):
        ours = identities(rows, tables)
    if identities(target.rows, target.tables()) - ours:
        raise BotError("the PostgreSQL database holds trades that are not of this import", "nasos ledger show")
