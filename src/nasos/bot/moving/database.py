"""Which database the old bot used, and what stands in its place.

Rules: the file is found where freqtrade would have opened it, or where its container's directory lies on this machine;
when that is not one file, the operator says which. Nothing is guessed, because the wrong file means lost open trades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from nasos.bot.database import needs_login
from nasos.errors import BotError, UsageError
from nasos.secret import Secret

_DEFAULT: Final = {True: "tradesv3.dryrun.sqlite", False: "tradesv3.sqlite"}
"""freqtrade's own, by ``dry_run``."""

_CONTAINER: Final = Path("/freqtrade")
"""Where the official image has its directory."""

_HINT: Final = "--database FILE names it; --trades none begins with none; --trades keep leaves them in SQLite"


def sqlite_file(url: object, *, dry_run: bool, near: Path, here: Path) -> Path | None:
    """The file behind ``url``; ``near`` is the directory of the configuration, ``here`` where the bot was started.

    Returns None for a database in memory.

    Raises:
        BotError: There is no such file, or more than one could be meant.
    """
    if url == "sqlite://":
        return None
    text = str(url) if url else f"sqlite:///{_DEFAULT[dry_run]}"
    wanted = Path(unquote(urlsplit(text).path.removeprefix("/")))
    found = {path.resolve() for path in _candidates(wanted, near, here) if path.is_file()}
    if not found:
        raise BotError(f"the trade database {wanted} was not found", _HINT)
    if len(found) > 1:
        raise BotError(f"the trade database may be {' or '.join(map(str, sorted(found)))}", _HINT)
    return found.pop()


def _candidates(wanted: Path, near: Path, here: Path) -> Iterator[Path]:
    if wanted.is_relative_to(_CONTAINER):
        yield near.parent / wanted.relative_to(_CONTAINER)
    if wanted.is_absolute():
        yield wanted
        return
    yield from (place / wanted for place in (here, near, near.parent))


def is_sqlite(url: object) -> bool:
    """Whether freqtrade would have used SQLite: also when nobody said."""
    return not url or (isinstance(url, str) and url.startswith("sqlite"))


def split_login(url: object) -> tuple[str, Mapping[str, Secret]]:
    """A PostgreSQL URL without its login, and the login as the record ``db``.

    Raises:
        UsageError: Another database than PostgreSQL.
        BotError: Its server would not be verified.
    """
    parts = urlsplit(str(url))
    if not parts.scheme.startswith("postgres"):
        raise UsageError(f"db_url names a database of another kind ({parts.scheme})", "SQLite or PostgreSQL")
    options = dict(parse_qsl(parts.query))
    user = unquote(parts.username or "") or options.pop("user", "")
    password = unquote(parts.password or "") or options.pop("password", "")
    if bool(user) != bool(password):
        raise BotError("db_url has half a login", "give user name and password in it, or neither")
    place = parts.netloc.rpartition("@")[2]
    clean = urlunsplit(parts._replace(netloc=place, query=urlencode(options, safe="/")))
    needs_login(clean)
    return clean, {"username": Secret(user), "password": Secret(password)} if user else {}
