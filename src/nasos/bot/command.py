"""What may stand after ``freqtrade``.

Rules:

* Without any ``-c`` freqtrade looks for ``config.json`` in two places; the file that it would find is named, so that
  launcher and bot look at the same one.
* Refused, because it would undo the point of the launcher: ``--db-url`` (on the command line it beats the document,
  and everybody on the machine can read it) and ``-c -`` (freqtrade drops every other file then). argparse accepts
  shortened options, so those are refused as well.
* Subcommands that need no secret get none: they are refused with the command to type instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nasos.errors import BotError, UsageError

SUPERVISED: Final = ("trade", "webserver")
"""Subcommands that should run for ever: one per bot, started again when they end."""

_WITHOUT_SECRETS: Final = (
    "create-userdir",
    "install-ui",
    "list-exchanges",
    "list-hyperoptloss",
    "new-config",
    "new-strategy",
    "strategy-updater",
)
_CONFIG: Final = ("-c", "--config")
USER_DATA: Final = ("--userdir", "--user-data-dir")
"""Options that name the bot's directory."""

_DATABASE: Final = ("--db-url",)
_SHORTEST: Final = 5  # of a shortened long option: --con, --use, --db-


@dataclass(frozen=True, slots=True)
class Command:
    """A freqtrade command line that was looked through."""

    words: tuple[str, ...]
    """Everything after ``freqtrade``, without our document."""
    subcommand: str
    configs: tuple[Path, ...]
    """The operator's configuration files, in order."""

    @property
    def supervised(self) -> bool:
        """Whether it should run for ever."""
        return self.subcommand in SUPERVISED

    @property
    def trades(self) -> bool:
        """Whether it must be the only one at its database."""
        return self.subcommand == "trade"

    def given(self, names: tuple[str, ...]) -> Iterator[str]:
        """The values of an option, under any of its names."""
        return _values(self.words, names)


def parse(words: Sequence[str], here: Path) -> Command:
    """Look through ``words`` (the first is ``freqtrade``); relative files are relative to ``here``.

    Raises:
        UsageError: Not a freqtrade command, or something in it defeats the launcher.
        BotError: No configuration file is named and none is found.
    """
    if not words or Path(words[0]).name != "freqtrade":
        raise UsageError("a bot is started by freqtrade's own command", "nasos run --bot NAME -- freqtrade trade")
    rest = list(words[1:])
    subcommand = next((word for word in rest if not word.startswith("-")), None)
    if subcommand is None:
        raise UsageError("freqtrade needs a subcommand", "nasos run --bot NAME -- freqtrade trade")
    if subcommand in _WITHOUT_SECRETS:
        raise UsageError(f"freqtrade {subcommand} needs no secret", f"freqtrade {' '.join(rest)}")
    for value in _values(rest, _DATABASE):
        raise _database_refused(value)
    configs = list(_values(rest, _CONFIG))
    if "-" in configs:
        raise UsageError("freqtrade drops all other files after -c -", "write the configuration to a file")
    if not configs:
        found = _default(here, next(_values(rest, USER_DATA), "user_data"))
        configs = [str(found)]
        rest += ["-c", str(found)]
    return Command(tuple(rest), subcommand, tuple(here / name for name in configs))


def _values(words: Sequence[str], names: tuple[str, ...]) -> Iterator[str]:
    """The values given to an option, in all of argparse's ways: ``-c x``, ``-cx``, ``--config=x``, ``--conf x``."""
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if any(_means(option, name) for name in names):
            yield value if equals else words[index + 1] if index + 1 < len(words) else ""
        elif len(word) > 2 and word[:2] in names:
            yield word[2:].removeprefix("=")


def _means(option: str, name: str) -> bool:
    if not name.startswith("--"):
        return option == name
    return len(option) >= _SHORTEST and name.startswith(option)


def _database_refused(value: str) -> UsageError:
    if "@" in value or "password" in value:
        return UsageError(
            "--db-url with a login: every user of this machine can read a command line",
            'put the URL without user and password as "db_url" into the configuration file',
        )
    return UsageError(
        "--db-url would replace the database of the configuration", 'set "db_url" in the configuration file'
    )


def _default(here: Path, user_data: str) -> Path:
    for place in (here / user_data, here):
        if (place / "config.json").is_file():
            return place / "config.json"
    raise BotError(
        f"no configuration file is named, and there is no config.json in {here / user_data} or {here}",
        "nasos run --bot NAME -- freqtrade trade -c FILE",
    )
