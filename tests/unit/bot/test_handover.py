"""Secrets for any program, tried with real ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nasos.bot.handover import Wanted
from nasos.errors import UsageError

RUN = """
import sys
from nasos.bot.handover import Wanted, become, by_environment, by_file
from nasos.secret import Secret
read = lambda path, field: Secret(f"planted:{path}:{field}")
files = by_file([Wanted.parse("PASSWORD_FILE=app/db")], read)
variables = by_environment([Wanted.parse("TOKEN=app/api:token")], read)
become(sys.argv[1:], {"PATH": "/usr/bin:/bin", **files, **variables})
"""


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """``argv`` with one secret by file and one by environment."""
    return subprocess.run([sys.executable, "-c", RUN, *argv], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A=app/db", Wanted("A", "app/db", "value")),
        ("_B2=app/db:password", Wanted("_B2", "app/db", "password")),
        ("C=app/db:", Wanted("C", "app/db", "value")),
    ],
)
def test_an_option_names_variable_path_and_field(text: str, wanted: Wanted) -> None:
    """The field is ``value`` where none is named."""
    assert Wanted.parse(text) == wanted


@pytest.mark.parametrize("text", ["", "A", "A=", "=app/db", "1A=app/db", "A B=x", "A=:field"])
def test_anything_else_is_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(UsageError, match="VARIABLE=PATH"):
        Wanted.parse(text)


def test_a_secret_by_file_is_in_the_file_and_nowhere_else() -> None:
    """The variable holds a path; the program and its children read the value there."""
    done = run("sh", "-c", 'echo "$PASSWORD_FILE"; cat "$PASSWORD_FILE"; env | grep -c planted:app/db')
    path, content = done.stdout.splitlines()[0], done.stdout.splitlines()[1]
    assert path.startswith("/proc/self/fd/")
    assert content == "planted:app/db:value0"


def test_a_secret_by_environment_is_in_the_variable() -> None:
    """Only because it was asked for."""
    assert run("sh", "-c", 'echo "$TOKEN"').stdout == "planted:app/api:token\n"


def test_the_file_cannot_be_changed() -> None:
    """It is sealed, whoever tries."""
    done = run("sh", "-c", 'chmod 600 "$PASSWORD_FILE"; echo x > "$PASSWORD_FILE" || cat "$PASSWORD_FILE"')
    assert done.stdout == "planted:app/db:value"


def test_the_program_replaces_us() -> None:
    """Same process, its own exit code, and a broken pipe ends it as it would without us."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "sh", "-c", "echo $$; exit 42"], stdout=subprocess.PIPE, text=True
    )
    out, _ = process.communicate()
    assert int(out) == process.pid
    assert process.returncode == 42
    yes = subprocess.Popen([sys.executable, "-c", RUN, "yes"], stdout=subprocess.PIPE, env=os.environ)
    assert yes.stdout
    yes.stdout.readline()
    yes.stdout.close()
    assert yes.wait(30) == -13


def test_a_missing_program_is_named() -> None:
    """Before anything is replaced."""
    assert "there is no program 'no-such-program'" in run("no-such-program").stderr
