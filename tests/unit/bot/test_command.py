"""What may stand after ``freqtrade``."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasos.bot.command import parse
from nasos.errors import BotError, UsageError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with the two default configuration files."""
    (tmp_path / "user_data").mkdir()
    for place in (tmp_path, tmp_path / "user_data"):
        (place / "config.json").write_text("{}")
    return tmp_path


def words(line: str) -> list[str]:
    """A command line."""
    return line.split()


@pytest.mark.parametrize(
    "line", ["trade -c a.json -c b.json", "trade -ca.json --config=b.json", "trade --conf a.json --config b.json"]
)
def test_the_operators_files_are_found_in_every_spelling(line: str, here: Path) -> None:
    """In order."""
    command = parse(["freqtrade", *words(line)], here)
    assert command.configs == (here / "a.json", here / "b.json")


def test_without_a_file_the_one_that_freqtrade_would_find_is_named(here: Path) -> None:
    """Our own ``-c`` would end its search: user directory first, then here."""
    assert parse(["freqtrade", "trade"], here).configs == (here / "user_data" / "config.json",)
    (here / "user_data" / "config.json").unlink()
    assert parse(["/usr/bin/freqtrade", "trade"], here).words == ("trade", "-c", str(here / "config.json"))
    (here / "config.json").unlink()
    with pytest.raises(BotError, match="no configuration file"):
        parse(["freqtrade", "trade"], here)


def test_another_user_directory_is_looked_at(here: Path) -> None:
    """``--userdir``."""
    (here / "user_data").rename(here / "mine")
    assert parse(words("freqtrade trade --userdir mine"), here).configs == (here / "mine" / "config.json",)


@pytest.mark.parametrize(
    "option",
    ["--db-url postgresql://u:planted@h/d", "--db-url=postgresql://u:planted@h/d", "--db-u sqlite:///x", "--db-url=a"],
)
def test_a_database_on_the_command_line_is_refused(option: str, here: Path) -> None:
    """In every spelling, and the error does not repeat it."""
    with pytest.raises(UsageError, match="--db-url") as caught:
        parse(["freqtrade", "trade", *option.split()], here)
    assert "planted" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("option", ["-c -", "-c-", "--config=-", "--config -", "--conf -"])
def test_configuration_from_standard_input_is_refused(option: str, here: Path) -> None:
    """freqtrade would drop every other file, ours too."""
    with pytest.raises(UsageError, match="-c -"):
        parse(["freqtrade", "trade", *option.split()], here)


@pytest.mark.parametrize("line", ["", "python x.py", "freqtrade", "freqtrade --version", "freqtrade new-config"])
def test_what_is_no_freqtrade_command_with_secrets_is_refused(line: str, here: Path) -> None:
    """With the command to type instead."""
    with pytest.raises(UsageError) as caught:
        parse(words(line), here)
    assert caught.value.hint


@pytest.mark.parametrize(("subcommand", "supervised"), [("trade", True), ("webserver", True), ("show-config", False)])
def test_only_what_should_run_for_ever_is_supervised(subcommand: str, supervised: bool, here: Path) -> None:  # noqa: FBT001  a parameter of the table
    """The rest ends by itself."""
    assert parse(["freqtrade", subcommand], here).supervised is supervised
