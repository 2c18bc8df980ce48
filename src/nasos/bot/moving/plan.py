"""What an import would do, drawn from what is there; nothing is changed here.

Rules: names and paths, never values; the same input gives the same plan, also when a killed import already replaced
some of the files (`Load` gives their originals).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from nasos.bot.configuration import merged
from nasos.bot.document import LOGIN, too_short
from nasos.bot.known import places
from nasos.bot.moving.database import is_sqlite, split_login, sqlite_file
from nasos.bot.moving.dotenv import Variable, configured, variables, without
from nasos.bot.moving.lift import Layer, Lifted, lift
from nasos.bot.moving.read import Load, Source, sources
from nasos.bot.moving.suspects import suspects, suspicious, suspicious_text
from nasos.errors import BotError
from nasos.secret import Secret

Fields = Mapping[str, Secret]
Trades = Literal["move", "keep", "none"]

_OURS: Final = ("NASOS_", "VAULT_", "CLOUDFLARE_")
_NO_API: Final = {"enabled": False, "listen_ip_address": "127.0.0.1", "listen_port": 8080}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the operator asked for."""

    bot: str
    configs: tuple[Path, ...]
    env: Path | None = None
    database: Path | None = None
    trades: Trades = "move"
    stopped: bool = False
    """The operator says that a process which only looks like the old bot is another one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file."""

    place: Path
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that would be done."""

    wish: Wish
    records: Mapping[str, Fields]
    """Record name -> what is lifted into it."""
    changes: tuple[Change, ...]
    moved: tuple[tuple[str, str], ...]
    database: Path | None
    """The SQLite file whose trades move."""
    target: bool
    """Whether the bot will work on our PostgreSQL."""
    api: tuple[str, int] | None
    """Where the old bot's API listens."""
    remarks: tuple[str, ...]
    findings: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.records or self.changes or self.database)

    def steps(self) -> Iterator[str]:
        """For people, in order."""
        for change in self.changes:
            yield f"keep the original of {change.place} until you confirm"
        if self.target:
            yield f'PostgreSQL: database and login of the bot "{self.wish.bot}", where they are missing'
        yield from (f"Vault: {where} -> bots/{self.wish.bot}/{name}" for where, name in self.moved)
        if self.database:
            yield f"copy all trades of {self.database} into PostgreSQL and compare every row; the file stays as it is"
        yield from (f"write {change.place} without them" for change in self.changes)


def draw(wish: Wish, load: Load, database_url: str | None, held: Collection[str], here: Path) -> Plan:
    """Look at everything and say what would be done.

    ``database_url`` is our PostgreSQL, without login; ``held`` are the names of the records that this bot has already.

    Raises:
        BotError: Something of the operator's cannot be understood, or could not be moved without loss.
    """
    files = sources(wish.configs, load)
    raw = load(wish.env) if wish.env else b""
    assigned = [each for each in variables(raw, str(wish.env)) if each.keys]
    environment = configured(assigned)
    lifted = lift([*(Layer(str(each.path), each.content) for each in files), Layer(str(wish.env), environment)])
    whole = merged(*(each.content for each in files), environment)
    url, login, database = _database(wish, lifted, whole, files[-1].place.parent, database_url, here)
    last = merged(lifted.cleaned[-2], lifted.cleaned[-1], {"db_url": url} if url else {})
    if any(name in held for name in LOGIN) and "api_server" not in whole:
        last["api_server"] = dict(_NO_API)  # the record is laid over it, and freqtrade's schema wants a whole section
    contents = [*lifted.cleaned[:-2], last]
    changes = _changes(files, contents)
    if wish.env and (gone := [each for each in assigned if _secret(each)]):
        changes[wish.env.resolve()] = Change(wish.env.resolve(), raw, without(raw, gone))
    return Plan(
        wish=wish,
        records={**_whole_login(lifted.records), **({"db": login} if login else {})},
        changes=tuple(changes.values()),
        moved=lifted.moved + ((("the login of db_url", "db: username, password"),) if login else ()),
        database=database,
        target=database_url is not None and url == database_url,
        api=_listens(whole),
        remarks=(*(remark for each in files for remark in each.remarks), *lifted.remarks, *_folded(assigned, wish),
                 *_comments_gone(files, changes)),
        findings=tuple(_findings(merged(*contents), files, changes, wish, raw)),
    )  # fmt: skip


def _database(  # noqa: PLR0913, PLR0917  what was said, what was found, and where to look
    wish: Wish, lifted: Lifted, whole: Mapping[str, object], near: Path, ours: str | None, here: Path
) -> tuple[str | None, Fields, Path | None]:
    """The URL for the clean file, the login that was in the old one, and the file whose trades move."""
    url = lifted.database
    if url is not None and not isinstance(url, str):
        raise BotError("db_url is no text", "write it in quotes")
    if not is_sqlite(url):
        if ours is not None and url == ours:
            return ours, {}, None
        clean, login = split_login(url)
        return clean, login, None
    if wish.trades == "keep":
        return url, {}, None
    if ours is None:
        raise BotError("there is no PostgreSQL of ours to move the trades to", "nasos up, or --trades keep")
    if wish.trades == "none":
        return ours, {}, None
    file = wish.database or sqlite_file(url, dry_run=whole.get("dry_run", True) is not False, near=near, here=here)
    if file is not None and not file.is_file():
        raise BotError(f"there is no trade database {file}", "--database FILE")
    return ours, {}, file.resolve() if file else None


def _changes(files: Sequence[Source], contents: Sequence[dict[str, object]]) -> dict[Path, Change]:
    found: dict[Path, Change] = {}
    for source, content in zip(files, contents, strict=True):
        if content != source.content or source.marked:
            after = json.dumps(content, indent=4, ensure_ascii=False).encode() + b"\n"
            found[source.place] = Change(source.place, source.raw, after)
    return found


def _secret(variable: Variable) -> bool:
    placed = configured([variable])
    return any(places(placed)) or variable.keys == ("db_url",)


def _folded(assigned: Sequence[Variable], wish: Wish) -> Iterator[str]:
    for each in assigned:
        if not _secret(each):
            yield (
                f"{each.name} of {wish.env} is written into the configuration as {'.'.join(each.keys)}: "
                "the bot gets a clean environment"
            )


def _comments_gone(files: Sequence[Source], changes: Mapping[Path, Change]) -> Iterator[str]:
    for each in files:
        if each.comments and each.place in changes:
            yield (
                f"the clean {each.path} is plain JSON: its {len(each.comments)} comments, which may hold old keys, "
                "stay in the original"
            )


def _findings(
    clean: Mapping[str, object], files: Sequence[Source], changes: Mapping[Path, Change], wish: Wish, raw: bytes
) -> Iterator[str]:
    for key, reason in suspects(clean):
        if key != "db_url":
            yield f"{key} of the configuration looks like a secret ({reason}) and stays where it is"
    for each in files:
        for line, text in each.comments if each.place not in changes else ():
            if shape := suspicious_text(text):
                yield f"{each.path} line {line}: a comment looks like a secret ({shape})"
        if each.place in changes and each.place.stat().st_nlink > 1:
            yield f"{each.place} has another name (a hard link) under which its secrets stay readable"
    for variable in variables(raw, str(wish.env)):
        strange = not variable.keys and not variable.name.startswith(_OURS)
        if strange and (why := suspicious(variable.name.lower(), variable.text)):
            yield f"{variable.name} of {wish.env} looks like a secret ({why}) and stays where it is"


def _listens(whole: Mapping[str, object]) -> tuple[str, int] | None:
    api = whole.get("api_server")
    if not isinstance(api, Mapping) or not api.get("enabled"):
        return None
    port = api.get("listen_port", 8080)
    return (str(api.get("listen_ip_address") or "127.0.0.1"), port) if isinstance(port, int) else None


def completed(name: str, lifted: Fields, held: Fields, plan: Plan) -> tuple[dict[str, Secret], list[str]]:
    """The whole record to write: what is there, ours over it, and what the bot could not start without."""
    fields, made = {**held, **lifted}, []
    fresh = {
        "api": {"username": Secret(plan.wish.bot), "password": Secret.random()},
        "jwt": {"jwt_secret_key": Secret.random()},
    }
    for key, value in fresh.get(name, {}).items():
        if not fields.get(key):
            fields[key] = value
            made.append(f"{name}: {key} was missing and is made new")
        elif key == "jwt_secret_key" and too_short(fields[key]):
            fields[key] = value
            made.append("jwt: jwt_secret_key has less than 32 characters, which freqtrade refuses; it is made new")
    return fields, made


def _whole_login(records: Mapping[str, Fields]) -> Mapping[str, Fields]:
    """Whoever configured a part of the API's login gets all of it."""
    if not any(name in records for name in LOGIN):
        return records
    return {**records, **{name: records.get(name, {}) for name in LOGIN}}
