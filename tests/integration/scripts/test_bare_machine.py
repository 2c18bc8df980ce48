"""The set-up's first steps on machines that lack things: what is installed, what is refused, what is said."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.machine import SYSTEM_PYTHON, Machine

WANTED = re.compile(r"uv 0\.1[3-9]\.\d+")


def system(expression: str) -> str:
    """Ask the system's Python."""
    done = subprocess.run(
        [SYSTEM_PYTHON, "-I", "-c", f"import sys\nprint({expression})"], check=True, capture_output=True
    )
    return done.stdout.decode().strip()


def place_of(module: str) -> str:
    """Directory of a package of the system's Python."""
    return system(f"__import__('importlib.util').util.find_spec({module!r}).submodule_search_locations[0]")


@pytest.fixture
def empty(machine: Machine) -> str:
    """An empty directory, to hide things under."""
    (machine.home / "empty").mkdir()
    return str(machine.home / "empty")


def installed(machine: Machine, path: str) -> str:
    """The version of the uv that a script printed the path of."""
    assert path == f"{machine.project}/.tools/uv/bin/uv\n"
    return subprocess.run([path.strip(), "--version"], check=True, capture_output=True, text=True).stdout


def test_uv_is_installed_where_the_distribution_forbids_it(machine: Machine) -> None:
    """PEP 668: pip refuses to touch the system; ours goes to .tools, and the second run takes it as it is."""
    marker = Path(system("__import__('sysconfig').get_path('stdlib')")) / "EXTERNALLY-MANAGED"
    if marker.exists():  # elsewhere this would install it
        refused = subprocess.run([SYSTEM_PYTHON, "-m", "pip", "install", "uv"], capture_output=True, check=False)
        assert b"externally-managed-environment" in refused.stderr
    done = machine.run("scripts/lib/uv.sh", SYSTEM_PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    assert WANTED.match(installed(machine, done.stdout))
    before = (machine.project / ".tools/uv/bin/uv").stat().st_ino
    assert machine.run("scripts/lib/uv.sh", "/no/such/python").stdout == done.stdout
    assert (machine.project / ".tools/uv/bin/uv").stat().st_ino == before
    assert sorted(path.name for path in (machine.project / ".tools").iterdir()) == ["uv"]


def test_without_pip_a_virtual_environment_brings_it(machine: Machine, empty: str) -> None:
    """ensurepip only, and leftovers of a killed run; nothing but a uv that runs is there afterwards."""
    for name in ("uv/bin/uv", "uv.new/bin/uv", "venv/bin/python"):
        half = machine.project / ".tools" / name
        half.parent.mkdir(parents=True)
        half.write_bytes(b"\x7fELF, and then the power went")
        half.chmod(0o755)
    done = machine.run("scripts/lib/uv.sh", SYSTEM_PYTHON, hidden={place_of("pip"): empty})
    assert (done.returncode, done.stderr) == (0, "")
    assert WANTED.match(installed(machine, done.stdout))
    assert sorted(path.name for path in (machine.project / ".tools").iterdir()) == ["uv"]


def test_with_neither_the_package_to_install_is_named(machine: Machine, empty: str) -> None:
    """A bare Debian without python3-pip and python3-venv."""
    done = machine.run(
        "scripts/lib/uv.sh", SYSTEM_PYTHON, hidden={place_of("pip"): empty, place_of("ensurepip"): empty}
    )
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"nasos: error: {SYSTEM_PYTHON} has neither pip nor ensurepip, so uv cannot be installed",
        "nasos: hint: apt-get install python3-pip",
    ]
    assert done.stdout == ""


def test_a_uv_of_the_machine_is_used_when_it_is_new_enough(machine: Machine) -> None:
    """And one that is too old, or broken, is passed over."""
    mine = machine.has("uv", "echo uv 0.13.0")
    assert machine.run("scripts/lib/uv.sh", "/no/such/python").stdout == f"{mine}\n"
    for text in ("echo uv 0.1.0", "echo uv 0.9.30", "exit 1", "echo nonsense", "kill -SEGV $$"):
        machine.has("uv", text)
        done = machine.run("scripts/lib/uv.sh", "/no/such/python")
        assert done.returncode == 3, text
        assert done.stdout == "", text


def test_another_file_than_the_pinned_one_is_refused(machine: Machine) -> None:
    """A wrong hash: nothing is installed, and the exit code is not that of findings."""
    pinned = machine.project / "scripts/lib/uv-requirements.txt"
    pinned.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", pinned.read_text()))
    done = machine.run("scripts/lib/uv.sh", SYSTEM_PYTHON)
    assert done.returncode == 3
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "nasos: error: uv could not be installed" in done.stderr
    assert "nasos: hint: " in done.stderr
    assert not list((machine.project / ".tools").rglob("uv"))


def test_without_a_python_it_is_said_which_one_is_needed(machine: Machine) -> None:
    """None in PATH and none in /usr/bin; then one of another age."""
    old = machine.has("old", 'case "$*" in *_base_executable*) echo "$0" ;; *) exit 1 ;; esac')
    for name in ("", "python3"):
        if name:
            machine.has(name, old.read_text().partition("\n")[2])
        done = machine.run("scripts/lib/python.sh", hidden={SYSTEM_PYTHON: str(old)})
        assert done.returncode == 3
        assert done.stdout == ""
        assert "no Python from 3.11 to 3.14 was found" in done.stderr
        assert "nasos: hint: apt-get install python3" in done.stderr
    machine.has("python3")
    assert machine.run("scripts/lib/python.sh").stdout.strip() == str(machine.programs / "python3")


def test_a_later_name_is_found_when_python3_is_too_old(machine: Machine) -> None:
    """python3 is too old, also in /usr/bin; python3.13 is there: that one."""
    old = machine.has("python3", 'case "$*" in *_base_executable*) echo "$0" ;; *) exit 1 ;; esac')
    newer = machine.programs / "python3.13"
    shutil.copy(Path(SYSTEM_PYTHON).resolve(), newer)
    done = machine.run("scripts/lib/python.sh", hidden={SYSTEM_PYTHON: str(old)})
    assert (done.returncode, done.stdout.strip()) == (0, str(newer))


def test_as_root_an_interpreter_that_others_cannot_execute_is_passed_over(machine: Machine) -> None:
    """Each service has a user of its own; as an ordinary user the same one is taken."""
    private = machine.home / "private"
    private.mkdir(mode=0o700)
    (private / "python3").symlink_to(Path(SYSTEM_PYTHON).resolve())
    (machine.programs / "python3").symlink_to(private / "python3")
    chosen = machine.run("scripts/lib/python.sh").stdout.strip()
    assert chosen == (SYSTEM_PYTHON if os.geteuid() == 0 else str(machine.programs / "python3"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("uname", "case $1 in -s) echo Darwin ;; *) echo arm64 ;; esac", "Darwin is not supported"),
        ("uname", "case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac", "no servers are packaged for riscv64"),
        ("df", "echo Filesystem; echo /dev/x 9000 8900 100 99% /", "100 MB are free"),
    ],
)  # fmt: skip
def test_a_machine_that_cannot_do_it_is_told_so_at_once(machine: Machine, name: str, text: str, said: str) -> None:
    """Before anything is looked for, downloaded or made."""
    machine.has(name, text)
    before = sorted(machine.project.rglob("*"))
    done = machine.run("scripts/setup_security.sh")
    assert done.returncode == 3
    assert f"nasos: error: {said}" in done.stderr
    assert "nasos: hint: " in done.stderr
    assert "[1/4]" not in done.stderr
    assert sorted(machine.project.rglob("*")) == before


@pytest.mark.parametrize("text", ["exit 1", "echo nonsense", "echo; echo a b c d e"])
def test_a_df_that_cannot_tell_does_not_stop_the_set_up(machine: Machine, text: str) -> None:
    """Could-not-tell is no reason here: uv and the stack look at the disk themselves."""
    machine.has("df", text)
    machine.has("python3")
    machine.has("uv", "case $1 in --version) echo uv 0.13.9 ;; *) exit 1 ;; esac")
    done = machine.run("scripts/setup_security.sh")
    assert "[2/4]" in done.stderr
    assert "the dependencies could not be installed" in done.stderr
    assert done.returncode == 3


def test_help_and_wrong_arguments(machine: Machine) -> None:
    """--help is 0 on stdout; everything else two lines and 2, before any work."""
    for word in ("-h", "--help"):
        done = machine.run("scripts/setup_security.sh", word)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: ./scripts/setup_security.sh [--port PORT]")
    for words in (
        ["--port"],
        ["--port", "x"],
        ["--port="],
        ["--port", ""],
        ["up"],
        ["--port", "8443", "x"],
        ["--port", "80"],
        ["--port", "65530"],  # the gateway would listen on +6
        ["--port", "9" * 30],
    ):
        done = machine.run("scripts/setup_security.sh", *words)
        assert done.returncode == 2, words
        assert "nasos: error: " in done.stderr
        assert "nasos: hint: " in done.stderr
        assert "[1/4]" not in done.stderr


def test_the_first_error_of_a_step_is_the_set_ups_own(machine: Machine) -> None:
    """Its exit code and its two lines arrive; the next step does not begin."""
    old = machine.has("python3", 'case "$*" in *_base_executable*) echo "$0" ;; *) exit 1 ;; esac')
    done = machine.run("scripts/setup_security.sh", hidden={SYSTEM_PYTHON: str(old)})
    assert done.returncode == 3
    assert "no Python from 3.11 to 3.14" in done.stderr
    assert "[2/4]" not in done.stderr
