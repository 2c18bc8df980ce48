"""Logs: the line that says why, and reading on through rotation."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasos.stack.log import LONGEST_REASON, Log, reason


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (
            ["2026-11-23 05:18:12,262 - freqtrade - ERROR - Impossible to load Strategy 'No'. Python code errors.",
             "nasos: nasos: ended (exit 2); starts again in 1 s"],
            "Impossible to load Strategy 'No'. Python code errors",
        ),
        (
            ["x - freqtrade - ERROR - the reason", 'nasos: error: the bot "nasos" failed 5 times', "nasos: hint: look"],
            "the reason",
        ),
        (["nasos: error: there is no credential for the role bot-x", "nasos: hint: y"],
         "there is no credential for the role bot-x"),
        (["2026-11-23 [7] @ FATAL:  could not create any TCP/IP sockets", "2026 [7] @ LOG:  shut down"],
         "could not create any TCP/IP sockets"),
        (["nginx: [emerg] 12#12: bind() to 127.0.0.1:1 failed"], "bind() to 127.0.0.1:1 failed"),
        (["Traceback (most recent call last):", "  File x", "ModuleNotFoundError: No module named 'talib'"],
         "ModuleNotFoundError: No module named 'talib'"),
        (["error initializing storage: permission denied"], "error initializing storage: permission denied"),
        (["first - ERROR - old", "second - ERROR - new"], "new"),
        (["all is well", ""], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_reason_is_the_newest_line_that_says_what_is_wrong(lines: list[str], found: str | None) -> None:
    """freqtrade's, PostgreSQL's, nginx's, Python's and our own way of saying it."""
    assert reason(lines) == found


def test_a_reason_is_one_short_printable_line() -> None:
    """Whatever a program writes, the terminal is not driven by it."""
    found = reason(["x - ERROR - \x1b[31mred\x07 " + "y" * 1000])
    assert found
    assert found.isprintable()
    assert len(found) == LONGEST_REASON


def test_a_log_is_read_on_through_rotation(tmp_path: Path) -> None:
    """New text only; a rotated log from its start; a missing one is empty."""
    path = tmp_path / "bot.log"
    assert Log(path).new() == ""
    path.write_text("one\ntwo\nthree\n")
    log = Log(path)
    assert log.last(2) == ["two", "three"]
    assert log.new() == ""
    with path.open("a") as file:
        file.write("four\n")
    assert log.new() == "four\n"
    path.rename(tmp_path / "bot.log.1")
    assert log.new() == ""
    path.write_text("five\n")
    assert log.new() == "five\n"


def test_a_fresh_log_that_grew_past_the_old_one_is_read_from_its_start(tmp_path: Path) -> None:
    """Its size says nothing of a rotation; that it is another file does."""
    path = tmp_path / "vault.log"
    path.write_text("old\n")
    log = Log(path)
    path.rename(tmp_path / "vault.log.1")
    path.write_text("the first line of the fresh one\n")
    assert log.new() == "the first line of the fresh one\n"
