"""What one bot needs of the machine, told from its command line and configuration.

Rules:

* It changes files in its ``user_data`` and, where the operator put them elsewhere, in the directories of its data, log
  and SQLite database. A directory that holds more than the bot's own (a home, the state directory, the bot's
  environment) is refused: Landlock cannot give a directory without all that is in it.
* What the bot can change cannot widen its next sandbox: a path inside ``user_data`` adds nothing (it may have become a
  link), and no path is taken from a configuration file that lies there.
* TCP ports are limited only where all of them are known: an exchange on loopback, and no chat or webhook. A real
  exchange is somewhere on the internet, under ports of its own choosing.
* Unix sockets are for a bot that logs to syslog or journald, and for commands that end by themselves and have workers.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from nasos.bot.command import USER_DATA, Command
from nasos.bot.configuration import added
from nasos.bot.sandbox import Confinement
from nasos.errors import BotError

TEMPORARY: Final = "tmp"
"""In ``user_data``: where the bot's temporary files go."""

_CERTIFICATES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_LOCAL_RECORDS: Final = frozenset({"api", "db", "exchange", "jwt"})
_REMOTE: Final = ("coingecko", "discord", "external_message_consumer", "telegram", "webhook", "fiat_display_currency")
_POSTGRES: Final = 5432
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108  multiprocessing's semaphores; a place, not a file of ours


def confinement(
    command: Command, configuration: Mapping[str, object], *, here: Path, protected: Collection[Path]
) -> Confinement:
    """The sandbox of ``command``; ``protected`` are places that no directory it may change can contain.

    Raises:
        BotError: Something that it must change lies among what is not the bot's own.
    """
    files = list(added(command.configs))
    own = here / (next(command.given(USER_DATA), None) or str(configuration.get("user_data_dir") or "user_data"))
    paths = configuration
    if any(_inside(file, each) for file in files for each in (own, here / "user_data")):
        if "user_data_dir" in configuration and not any(command.given(USER_DATA)):
            raise BotError("the bot could change the file that says where its user_data is", "add --userdir DIRECTORY")
        paths = {}
    changed = (here / place for place in _changed(command, paths, configuration.get("db_url")))
    places = [own, *(place for place in changed if not _inside(place, own))]
    for place in places:
        inside = next((each for each in protected if each.resolve().is_relative_to(place.resolve())), None)
        if inside is not None:
            raise BotError(
                f"the bot would have to change files in {place}, where {inside} is too",
                "put its log, data and database into user_data, and user_data into a directory of its own",
            )
    shared = [] if command.supervised else [_SHARED_MEMORY]
    return Confinement(
        read=tuple(
            str(place)
            for place in (*files, *(here / each for each in _read(command, paths)))
            if not _inside(place, own)
        ),
        write=(*map(str, dict.fromkeys(places)), *shared),
        unix=not command.supervised or _logs_to_a_socket(command, configuration),
        bind=_listening(configuration),
        connect=_reached(configuration),
    )


def with_records(sandbox: Confinement, names: Collection[str]) -> Confinement:
    """``sandbox`` for a bot with these records: a chat or webhook among them is somewhere on the internet."""
    return sandbox if _LOCAL_RECORDS.issuperset(names) else replace(sandbox, connect=None)


def _inside(place: Path, directory: Path) -> bool:
    """By name: what a link in ``directory`` points to does not count."""
    return Path(os.path.normpath(place)).is_relative_to(os.path.normpath(directory))


def _changed(command: Command, configuration: Mapping[str, object], database: object) -> Iterator[str]:
    data = next(command.given(("-d", "--datadir", "--data-dir")), None) or configuration.get("datadir")
    if data:
        yield str(data)
    log = next(command.given(("--logfile", "--log-file")), None) or configuration.get("logfile")
    if log and not str(log).startswith(("syslog", "journald")):
        yield str(Path(str(log)).parent)
    # freqtrade's own default lies in the working directory, which no configuration moves.
    default = "sqlite:///trades.sqlite" if command.subcommand == "trade" and not database else ""
    url = configuration.get("db_url") or default
    if str(url).startswith("sqlite:///"):
        yield str(Path(unquote(urlsplit(str(url)).path.removeprefix("/"))).parent)


def _logs_to_a_socket(command: Command, configuration: Mapping[str, object]) -> bool:
    log = next(command.given(("--logfile", "--log-file")), None) or configuration.get("logfile")
    return str(log).startswith(("syslog", "journald"))


def _read(command: Command, configuration: Mapping[str, object]) -> Iterator[str]:
    for option, key in (("--strategy-path", "strategy_path"), ("--freqaimodel-path", "freqaimodel_path")):
        yield from (str(each) for each in (*command.given((option,)), configuration.get(key)) if each)
    options = parse_qs(urlsplit(str(configuration.get("db_url") or "")).query)
    yield from (options[name][0] for name in _CERTIFICATES if name in options)


def _listening(configuration: Mapping[str, object]) -> tuple[int, ...]:
    api = configuration.get("api_server")
    port = api.get("listen_port") if isinstance(api, Mapping) else None
    return (port,) if isinstance(port, int) else ()


def _reached(configuration: Mapping[str, object]) -> tuple[int, ...] | None:
    exchange = configuration.get("exchange")
    own = exchange.get("ccxt_config") if isinstance(exchange, Mapping) else None
    addresses = list(_texts(own.get("urls"))) if isinstance(own, Mapping) else []
    if not addresses or not all(map(_is_loopback, addresses)) or any(configuration.get(name) for name in _REMOTE):
        return None
    ports = {urlsplit(address).port or 443 for address in addresses}
    database = urlsplit(str(configuration.get("db_url") or ""))
    if database.scheme.startswith("postgres"):
        if parse_qs(database.query).keys() & {"host", "hostaddr", "port", "service"}:
            return None
        ports.add(database.port or _POSTGRES)
    return tuple(sorted(ports))


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
