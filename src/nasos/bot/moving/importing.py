"""The steps of an import in order, and the way back.

Rules:

* Each step asks first whether it is done, and writes its intent into the journal before its deed: killed anywhere, the
  same command goes on, and `undo` goes back.
* The operator's files change last: until then the old bot can be started as if nothing had happened.
* Nothing is put over what somebody else wrote meanwhile: not a file, not a record, not a trade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nasos.bot.configuration import merged
from nasos.bot.database import needs_login
from nasos.bot.freqtrade import secrets_in
from nasos.bot.moving import copying, originals, vaulted
from nasos.bot.moving.journal import Desk, Journal, Moved, Stored
from nasos.bot.moving.plan import Fields, Plan, Wish, completed, draw
from nasos.bot.moving.read import sources
from nasos.bot.moving.running import signs
from nasos.bot.report import Append
from nasos.errors import BotError, UsageError
from nasos.ledger import Outcome
from nasos.vault.store import SecretStore


class Target(copying.Target, Protocol):
    """Our PostgreSQL, for this bot."""

    @property
    def url(self) -> str:
        """Without login, as it stands in the clean configuration."""
        ...

    def prepare(self) -> None:
        """Make database, login and Vault role, where they are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What an import stands on; the command line builds it."""

    vault: SecretStore
    target: Target | None
    convert: copying.Convert
    append: Append
    say: Callable[[str], object]
    here: Path


def look(ground: Ground, desk: Desk, wish: Wish) -> Plan:
    """What an import would do, or what is left to do of one.

    Raises:
        UsageError: Another import of this bot is unfinished or unconfirmed.
        BotError: As `draw`.
    """
    journal = desk.load()
    if journal is not None:
        _require_same(journal, wish)
    held = ground.vault.list(f"bots/{wish.bot}")
    return draw(wish, _load(desk, journal), ground.target.url if ground.target else None, held, ground.here)


def require_stopped(plan: Plan) -> None:
    """Refuse while the old bot runs.

    Raises:
        BotError: Says what was seen.
    """
    configs = [path.resolve() for path in plan.wish.configs]
    seen = [sign for sign in signs(plan.database, configs, plan.api) if sign.certain or not plan.wish.stopped]
    if seen:
        hint = "stop the old bot" if any(sign.certain for sign in seen) else "stop it; --stopped if it is another bot"
        raise BotError(f"the old bot still runs: {'; '.join(dict.fromkeys(sign.text for sign in seen))}", hint)


def apply(ground: Ground, desk: Desk, plan: Plan) -> Journal:
    """Do what is left to do of ``plan``.

    Raises:
        Error: A step failed; the journal says how far it came.
    """
    journal = desk.load()
    if journal is None:
        require_possible(ground, plan)
        wish = plan.wish
        journal = Journal(bot=wish.bot, configs=_names(wish.configs), env=str(wish.env.resolve()) if wish.env else None)
        desk.prepare()
        _keep(desk, journal, plan)
    _store(ground, desk, journal, plan)
    if plan.database and ground.target:
        journal.trades = journal.trades or Moved(source=str(plan.database))
        copying.move(desk, journal, ground.target, ground.convert, lambda: require_stopped(plan), ground.say)
    for kept in journal.files:
        [change] = [each for each in plan.changes if str(each.place) == kept.place]
        if originals.replace(kept, change.after):
            ground.say(f"wrote {kept.place}")
    _prove(plan)
    journal.state = "done"
    desk.save(journal)
    ground.append("bot.import", journal.bot, Outcome.OK, {"files": str(len(journal.files)), **_told(journal)})
    return journal


def require_possible(ground: Ground, plan: Plan) -> None:
    """Refuse early what would fail late.

    Raises:
        Error: A file could not be replaced, the old bot runs, or the target holds trades.
    """
    for change in plan.changes:
        if obstacle := originals.obstacle(change.place):
            raise obstacle
    require_stopped(plan)
    if plan.database and ground.target:
        copying.require_empty(ground.target, plan.wish.bot)
    login = plan.records.get("db")
    if login and not vaulted.free(ground.vault, f"bots/{plan.wish.bot}/db", login):
        raise BotError(
            f"bots/{plan.wish.bot}/db is the login of another database than db_url names", "give the bot another --name"
        )


def undo(ground: Ground, desk: Desk, *, discard: bool) -> list[str]:
    """Put everything back as it was; what the operator should know.

    Raises:
        UsageError: There is nothing to undo.
        BotError: Trades were made since, which the old database does not have (``discard`` gives them up).
    """
    journal = desk.load()
    if journal is None:
        raise UsageError("there is no import to undo", "nasos bot import CONFIG.json --plan")
    wanted = _wanted(ground, desk, journal)
    if ground.target and journal.trades:
        copying.require_ours(desk, journal, ground.target, discard=discard)
    journal.state = "undoing"
    desk.save(journal)
    told = []
    for kept in journal.files:
        if aside := originals.put_back(desk, kept):
            told.append(f"{kept.place} was edited since the import; that version is {aside}")
        ground.say(f"restored {kept.place}")
    if ground.target and journal.trades and journal.trades.state != "wanted":
        ground.target.drop()
        ground.say("removed the copied trades from PostgreSQL")
    for entry in journal.records:
        if note := vaulted.take_back(ground.vault, entry, wanted.get(entry.path)):
            told.append(note)
        ground.say(f"took back {entry.path}")
    desk.close(journal)
    ground.append("bot.import", journal.bot, Outcome.OK, {"undone": "all", **_told(journal)})
    return told


def confirm(ground: Ground, desk: Desk) -> None:
    """Remove the backup: from now on there is no way back.

    Raises:
        UsageError: There is no finished import.
    """
    journal = desk.load()
    if journal is None or journal.state != "done":
        raise UsageError("there is no finished import to confirm", "nasos bot import CONFIG.json")
    desk.close(journal)
    ground.append("bot.import", journal.bot, Outcome.OK, {"confirmed": "backup removed"})


def _require_same(journal: Journal, wish: Wish) -> None:
    if journal.state == "undoing":
        raise UsageError("an undo of this bot's import is unfinished", f"nasos bot import --undo --name {journal.bot}")
    if journal.configs != _names(wish.configs) or journal.env != (str(wish.env.resolve()) if wish.env else None):
        files = " ".join(journal.configs) + (f" --env {journal.env}" if journal.env else "")
        raise UsageError(
            f'the bot "{journal.bot}" has an import of other files: {files}',
            f"nasos bot import {files} --name {journal.bot}, or --confirm, or --undo",
        )


def _names(paths: Iterable[Path]) -> list[str]:
    return [str(path.absolute()) for path in paths]


def _load(desk: Desk, journal: Journal | None) -> Callable[[Path], bytes]:
    """Files as they were before an import of ours replaced them."""
    kept = {each.place: each for each in journal.files} if journal else {}

    def load(path: Path) -> bytes:
        place = str(path.resolve(strict=True))
        return originals.original(desk, kept[place]) if place in kept else Path(place).read_bytes()

    return load


def _keep(desk: Desk, journal: Journal, plan: Plan) -> None:
    for number, change in enumerate(plan.changes):
        journal.files.append(originals.keep(desk, number, change.place, change.before, change.after))
    desk.save(journal)


def _store(ground: Ground, desk: Desk, journal: Journal, plan: Plan) -> None:
    if plan.target and ground.target:
        _store_login(ground, desk, journal, ground.target)
    for name, fields in plan.records.items():
        _store_one(ground, desk, journal, plan, name, fields)


def _store_login(ground: Ground, desk: Desk, journal: Journal, target: Target) -> None:
    """The database's login is made by whoever makes the database; what that stored is ours to take back."""
    path = f"bots/{journal.bot}/db"
    entry = next((each for each in journal.records if each.path == path), None)
    if entry is None and not vaulted.newest(ground.vault, path)[0]:
        entry = Stored(path=path, before=0)
        journal.records.append(entry)
        desk.save(journal)
    target.prepare()
    if entry and not entry.version:
        entry.version = vaulted.newest(ground.vault, path)[0]
        desk.save(journal)
    ground.say("PostgreSQL is ready for this bot")


def _store_one(  # noqa: PLR0913, PLR0917  one record, and all that it is written by
    ground: Ground, desk: Desk, journal: Journal, plan: Plan, name: str, lifted: Fields
) -> None:
    path = f"bots/{journal.bot}/{name}"
    version, held = vaulted.newest(ground.vault, path)
    entry = next((each for each in journal.records if each.path == path), None)
    if entry is None and vaulted.holds(held, completed(name, lifted, held, plan)[0]):
        return  # it was there already, word for word
    if entry is None:
        entry = Stored(path=path, before=version)
        journal.records.append(entry)
        desk.save(journal)
    if not entry.version:
        fields, made = completed(name, lifted, held, plan)
        entry.version = vaulted.put(ground.vault, entry, fields)
        desk.save(journal)
        ground.say("\n".join([f"stored {path} (version {entry.version}) and read it back", *made]))


def _wanted(ground: Ground, desk: Desk, journal: Journal) -> Mapping[str, Fields]:
    """What this import would have written, by path: to tell a write whose answer was lost from somebody else's."""
    if all(entry.version for entry in journal.records):
        return {}
    wish = Wish(
        bot=journal.bot,
        configs=tuple(map(Path, journal.configs)),
        env=Path(journal.env) if journal.env else None,
        trades="move" if ground.target and journal.trades else "keep",
        database=Path(journal.trades.source) if journal.trades else None,
    )
    plan = draw(wish, _load(desk, journal), ground.target.url if ground.target else None, (), ground.here)
    return {f"bots/{journal.bot}/{name}": fields for name, fields in plan.records.items()}


def _prove(plan: Plan) -> None:
    """What lies on the disk now is what the bot can be started with."""
    files = sources(plan.wish.configs, Path.read_bytes)
    whole = merged(*(each.content for each in files))
    left = list(secrets_in(whole))
    if left:
        raise BotError(f"the clean configuration still holds {', '.join(left)}", "nasos bot import --undo")
    needs_login(whole.get("db_url"))


def _told(journal: Journal) -> dict[str, str]:
    told = {"records": " ".join(entry.path for entry in journal.records)}
    if journal.trades and journal.trades.contents:
        told["trades"] = str(journal.trades.contents)
    return told
