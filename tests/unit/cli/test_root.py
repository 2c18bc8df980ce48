from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import click
import pytest

from nasos import errors
from nasos.cli import root
from nasos.cli.root import COMMANDS, run
from nasos.secret import Secret

TOKEN = "hvs." + "A" * 24


def nasos(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, by ``python -m nasos`` or by this code."""
    how = ["-c", code] if code else ["-m", "nasos"]
    return subprocess.run([sys.executable, *how, *arguments], capture_output=True, text=True, check=False)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the command ``status`` raise this."""

    @click.command()
    def status() -> None:
        raise error

    monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_: status)


def test_help_lists_every_command_with_its_line() -> None:
    """Help names all commands and the exit codes, on stdout, with code 0."""
    result = nasos("--help")
    assert result.returncode == 0
    for name, (_, text) in COMMANDS.items():
        assert name in result.stdout
        assert text.split(";")[0][:20] in result.stdout
    assert "0 clean, 1 findings, 2 usage, 3 could not tell" in result.stdout
    assert result.stderr == ""


HEAVY = (
    "ssl",
    "http.client",
    "psycopg",
    "cryptography",
    "sqlalchemy",
    "asyncio",
    "supervisor",
    "urllib.request",
    "httpx",
    "yaml",
)


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("nonsense",), ("rotate", "--help"), ("ledger", "--help"), ("cloudflare", "plan", "--help")],
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Neither TLS, HTTP, database nor certificate code is imported before a command needs it."""
    code = (
        "import sys, json; from nasos.cli.root import run; run(sys.argv[1:]);"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)"
    )
    result = nasos(*arguments, code=code)
    assert json.loads(result.stderr.splitlines()[-1]) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "no such command 'nonsense'"),
        (("--nonsense",), "no such option"),
        (("ledger", "show", "-n", "many"), "'many' is not a valid integer"),
        (("rotate", "--nonsense"), "no such option"),
        (("ledger",), ""),
        ((), ""),
    ],
)
def test_wrong_usage_is_two_lines_on_stderr_and_code_two(arguments: tuple[str, ...], said: str) -> None:
    """Usage errors show what is wrong and the help command to type, or the help itself; never a traceback."""
    result = nasos(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert said in result.stderr.lower()
    assert "Traceback" not in result.stderr
    if said:
        first, second = result.stderr.splitlines()
        assert first.startswith("nasos: error: ")
        assert first[14].islower() or first[14] == "'"
        assert not first.endswith(".")
        assert second.startswith("nasos: hint: nasos")
        assert second.endswith("--help")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.VaultSealed("vault is sealed", "nasos vault unseal"), 3),
        (errors.SettingsError("x is unknown", "did you mean y?"), 2),
        (errors.StackError("no hint here"), 3),
    ],
)
def test_an_error_is_two_lines_and_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: errors.Error, code: int
) -> None:
    """Message and hint on stderr, nothing on stdout, the error's exit code."""
    failing(monkeypatch, error)
    assert run(["status"]) == code
    shown = capsys.readouterr()
    expected = f"nasos: error: {error.message}\n" + (f"nasos: hint: {error.hint}\n" if error.hint else "")
    assert (shown.out, shown.err) == ("", expected)


def test_a_token_that_slipped_into_an_error_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last line of defence: secret shapes are redacted on the way to the terminal."""
    failing(monkeypatch, errors.VaultError(f"server said {TOKEN}", f"try {TOKEN}"))
    assert run(["status"]) == 3
    assert TOKEN not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (BrokenPipeError(), 3),
        (click.FileError("nasos.toml", "it is a directory"), 3),
        (click.exceptions.Exit(3), 3),
    ],
)
def test_what_click_and_the_terminal_raise_has_a_code_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    """Interrupts, closed pipes and click's own errors end without a traceback."""
    failing(monkeypatch, error)
    assert run(["status"]) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_a_disk_that_fails_is_said_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """Wherever it was not expected: two lines and 3. A mistake of ours (the twin) is not called the disk's."""
    failing(monkeypatch, OSError(number, os.strerror(number), "/srv/state/nginx.conf"))
    assert run(["status"]) == 3
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"nasos: error: the disk fails under /srv/state/nginx.conf: {os.strerror(number).lower()}"
    assert said[1].startswith("nasos: hint: ")
    failing(monkeypatch, OSError(errno.EBADF, os.strerror(errno.EBADF)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        run(["status"])


def test_a_command_returns_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """An int that a command returns is the exit code; nothing is 0."""
    for value, code in ((1, 1), (3, 3), (None, 0), (0, 0)):

        @click.command()
        def status(value: int | None = value) -> int | None:
            return value

        monkeypatch.setattr(root.LazyGroup, "get_command", lambda *_, command=status: command)
        assert run(["status"]) == code


def test_a_closed_pipe_ends_quietly() -> None:
    """``nasos --help | head -0`` shows no traceback."""
    with subprocess.Popen(
        [sys.executable, "-m", "nasos", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() in (0, 3)


def test_output_redacts_but_reveal_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Only output.reveal prints a value, exactly, without a line end where no person reads."""
    from nasos.cli import output

    output.reveal(Secret("the value\n"))
    assert capsys.readouterr().out == "the value\n"


def test_every_command_in_the_table_exists() -> None:
    """Each name of the table loads, and its own help works."""
    for name in COMMANDS:
        assert nasos(name, "--help").returncode == 0, name


def test_a_flag_without_its_dashes_is_told_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`nasos rotate db`, as anybody types it once."""
    assert run(["rotate", "db"]) == 2
    assert "hint: nasos rotate --db" in capsys.readouterr().err
