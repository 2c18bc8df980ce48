"""``nasos secret`` and scripts/security_utils.sh as the operator uses them, on a real OpenBao."""

from __future__ import annotations

import json
import os
import pty
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from fixtures.vault import VaultUnderTest, free_port
from nasos.bot.poke import Pokes
from nasos.ledger import Event, read
from nasos.stack.home import Record
from nasos.stack.ports import Ports

ROOT = Path(__file__).parents[2]
CANARY = "canary-5d1e77b0"


@dataclass(frozen=True)
class Operator:
    """A terminal with a local stack."""

    home: Path
    folder: str

    @property
    def environment(self) -> dict[str, str]:
        """What the operator's shell exports."""
        return {"PATH": os.environ["PATH"], "NASOS_HOME": str(self.home), "NASOS_PROJECT": str(self.home.parent)}

    def run(self, *arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        """``nasos secret ...`` with a pipe on both sides."""
        piped = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [sys.executable, "-m", "nasos", "secret", *arguments], cwd=self.home.parent, env=self.environment,
            input=piped, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def terminal(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        """``nasos secret ...`` at a terminal; what was seen on it."""
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(self.home.parent)
            os.execve(  # noqa: S606  the child of pty.fork becomes the command
                sys.executable, [sys.executable, "-m", "nasos", "secret", *arguments], self.environment
            )
        seen = b""
        asked = not typed
        while True:
            try:
                piece = os.read(fd, 4096)
            except OSError:  # the terminal's other end is gone (Linux says EIO)
                break
            if not piece:
                break
            seen += piece
            if not asked and b": " in seen:
                os.write(fd, typed.encode())
                asked = True
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode().replace("\r\n", "\n")

    def events(self) -> list[Event]:
        """What the ledger says."""
        return read(self.home / "ledger" / "events.jsonl")


@pytest.fixture
def operator(vault: VaultUnderTest, tmp_path: Path) -> Operator:
    """The state directory as `nasos up` leaves it, as far as secrets need it."""
    home = tmp_path / "home"
    (home / "tls").mkdir(parents=True)
    (home / "credentials").mkdir()
    shutil.copy(vault.ca_file, home / "tls" / "ca.pem")
    shutil.copy(vault.home / "credentials" / "operator.json", home / "credentials" / "operator.json")
    port = int(vault.address.rpartition(":")[2])
    ports = msgspec.structs.replace(Ports.following(free_port()), vault=port)
    (home / "stack.json").write_bytes(msgspec.json.encode(Record(id="test", ports=ports)))
    return Operator(home, f"app/{secrets.token_hex(5)}")


def test_a_value_goes_in_by_a_pipe_and_out_by_reveal(operator: Operator) -> None:
    """One trailing newline of the pipe is dropped, the rest of a text of many lines is kept."""
    name = f"{operator.folder}/key"
    stored = operator.run("set", name, "--description", "for people", stdin="line 1\nline 2 ü\n\n")
    assert (stored.returncode, stored.stdout, stored.stderr) == (0, "", f"{name} is stored as version 1\n")
    assert operator.run("get", name, "--reveal").stdout == "line 1\nline 2 ü\n"
    listed = json.loads(operator.run("list", operator.folder, "--json").stdout)
    assert [(row["name"], row["version"], row["deleted"], row["description"]) for row in listed] == [
        (name, 1, False, "for people")
    ]


def test_a_pipe_is_refused_the_value_unless_asked(operator: Operator) -> None:
    """Without --reveal nothing leaves through a pipe, also not as JSON; with it, it does."""
    name = f"{operator.folder}/key"
    operator.run("set", name, stdin=CANARY)
    for arguments in ((name,), (name, "--json")):
        refused = operator.run("get", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "add --reveal" in refused.stderr
        assert CANARY not in refused.stderr
    shown = json.loads(operator.run("get", name, "--json", "--reveal").stdout)
    assert shown["fields"] == {"value": CANARY}
    assert shown["version"] == 1


@pytest.mark.parametrize("given", [(CANARY,), (CANARY, "-"), ("correct", CANARY)])
def test_a_value_as_an_argument_is_refused_and_not_echoed(operator: Operator, given: tuple[str, ...]) -> None:
    """The words may be a secret: the complaint does not repeat them, and nothing is stored."""
    name = f"{operator.folder}/{secrets.token_hex(4)}"
    refused = operator.run("set", name, *given, stdin="x")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert CANARY not in refused.stderr
    assert f"nasos: hint: nasos secret set {name}" in refused.stderr
    assert operator.run("get", name, "--reveal").returncode == 3


def test_at_a_terminal_the_prompt_hides_and_get_shows(operator: Operator) -> None:
    """What is typed is not echoed; get prints it to the terminal without --reveal."""
    name = f"{operator.folder}/key"
    code, seen = operator.terminal("set", name, typed=f"{CANARY}\n")
    assert code == 0, seen
    assert CANARY not in seen
    assert operator.terminal("get", name) == (0, f"{CANARY}\n")


def test_set_merges_into_the_fields_that_are_there(operator: Operator) -> None:
    """Other fields stay; several fields come as one JSON object of exactly these."""
    name = f"{operator.folder}/exchange"
    assert (
        operator.run("set", name, "--field", "key", "--field", "secret", stdin='{"key": "k", "secret": "s"}').returncode
        == 0
    )
    assert operator.run("set", name, "--field", "secret", "-", stdin="new\n").returncode == 0
    shown = json.loads(operator.run("get", name, "--json", "--reveal").stdout)
    assert (shown["fields"], shown["version"]) == ({"key": "k", "secret": "new"}, 2)
    for wrong in ('{"key": "k"}', '{"key": "k", "secret": 1}', "[]", "key=k"):
        refused = operator.run("set", name, "--field", "key", "--field", "secret", stdin=wrong)
        assert (refused.returncode, "key, secret" in refused.stderr) == (2, True)
    assert operator.run("get", name, "--field", "key", "--reveal").stdout == "k"
    missing = operator.run("get", name, "--reveal")
    assert missing.returncode == 3
    assert "it has key, secret" in missing.stderr


@pytest.mark.parametrize("value", ["", "\n", b"\xff\xfe"])
def test_an_empty_value_and_binary_are_refused(operator: Operator, value: str | bytes) -> None:
    """Nothing is stored by an accidental empty pipe or by bytes that are no text."""
    name = f"{operator.folder}/key"
    assert operator.run("set", name, stdin=value).returncode == 2
    assert operator.run("history", name).returncode == 3


@pytest.mark.parametrize("name", ["../x", "app//x", "", "app/x y", "nasos/app/x", "app/\nx"])
def test_a_refused_name_is_a_usage_error_before_anything_is_asked(operator: Operator, name: str) -> None:
    """Also before the value is read; a full path is told how to be written."""
    for command in ("set", "get", "history", "rm", "restore"):
        refused = operator.run(command, "--", name, stdin=CANARY)
        assert refused.returncode == 2
        assert CANARY not in refused.stderr


def test_rm_hides_restore_brings_back_and_history_tells(operator: Operator) -> None:
    """Deleted and restored; an older version's fields become a new version; destroyed is for good."""
    name = f"{operator.folder}/key"
    for value in ("one", "two"):
        operator.run("set", name, stdin=value)
    assert operator.run("rm", name).returncode == 0
    gone = operator.run("get", name, "--reveal")
    assert (gone.returncode, f"nasos secret restore {name}" in gone.stderr) == (3, True)
    assert "deleted" in operator.run("list", operator.folder).stdout
    assert "deleted" in operator.run("history", name).stdout
    assert operator.run("restore", name).returncode == 0
    assert operator.run("get", name, "--reveal").stdout == "two"
    restored = json.loads(operator.run("restore", name, "--version", "1", "--json").stdout)
    assert restored == {"name": name, "version": 3, "restored": 1}
    assert operator.run("get", name, "--reveal").stdout == "one"
    assert operator.run("rm", name, "--version", "2", "--destroy").returncode == 130
    assert operator.run("rm", name, "--version", "2", "--destroy", "--yes").returncode == 0
    assert operator.run("restore", name, "--version", "2").returncode == 3
    told = json.loads(operator.run("history", name, "--json").stdout)
    assert told["current"] == 3
    assert [(version["number"], version["destroyed"]) for version in told["versions"]] == [
        (1, False), (2, True), (3, False),
    ]  # fmt: skip


def test_a_deleted_secret_can_be_set_anew(operator: Operator) -> None:
    """set after rm begins with its own fields only."""
    name = f"{operator.folder}/key"
    operator.run("set", name, "--field", "old", stdin="x")
    operator.run("rm", name)
    operator.run("set", name, stdin="y")
    shown = json.loads(operator.run("get", name, "--json", "--reveal").stdout)
    assert (shown["fields"], shown["version"]) == ({"value": "y"}, 2)


def test_rm_of_a_typing_error_says_so(operator: Operator) -> None:
    """A name or version that does not exist is not silently fine."""
    assert operator.run("rm", f"{operator.folder}/nope").returncode == 3
    operator.run("set", f"{operator.folder}/key", stdin="x")
    assert "has no version 9" in operator.run("rm", f"{operator.folder}/key", "--version", "9").stderr


def test_two_operators_at_once_lose_no_field(operator: Operator) -> None:
    """Six concurrent sets of different fields all end in the record."""
    name = f"{operator.folder}/many"
    command = [sys.executable, "-m", "nasos", "secret", "set", name, "--field"]
    running = [
        subprocess.Popen(
            [*command, f"f{number}"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=operator.environment,
            cwd=operator.home.parent,
        )
        for number in range(4)
    ]  # fmt: skip
    for number, process in enumerate(running):
        _, complaint = process.communicate(f"v{number}".encode(), timeout=60)
        assert process.returncode == 0, complaint
    shown = json.loads(operator.run("get", name, "--json", "--reveal").stdout)
    assert shown["fields"] == {f"f{number}": f"v{number}" for number in range(4)}


def test_the_ledger_tells_who_wrote_and_saw_what_and_never_a_value(operator: Operator) -> None:
    """set, get and rm are events with who, target and what; also a get that found nothing; the chain holds."""
    name = f"{operator.folder}/key"
    operator.run("set", name, stdin=CANARY)
    operator.run("get", name, "--reveal")
    operator.run("rm", name)
    operator.run("get", name, "--reveal")
    operator.run("get", name)  # refused before Vault was asked: nothing was revealed
    events = operator.events()
    assert [(event.event, event.target, event.actor, event.outcome) for event in events] == [
        ("secret.write", f"nasos/{name}", "operator", "ok"),
        ("secret.reveal", f"nasos/{name}", "operator", "ok"),
        ("secret.delete", f"nasos/{name}", "operator", "ok"),
        ("secret.reveal", f"nasos/{name}", "operator", "failed"),
    ]
    assert events[1].detail["fields"] == "value"
    assert events[1].detail["to"] == "pipe or file"
    assert all(event.detail["by"] for event in events)
    assert CANARY not in (operator.home / "ledger" / "events.jsonl").read_text()


def test_without_a_stack_the_hint_starts_one(tmp_path: Path) -> None:
    """No VAULT_ADDR and no stack.json: what to do, exit code 2."""
    (tmp_path / "home").mkdir()
    refused = Operator(tmp_path / "home", "app").run("list")
    assert refused.returncode == 2
    assert "setup_security.sh" in refused.stderr


SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]


@pytest.fixture
def shell(operator: Operator, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a script in a shell, in a checkout-like directory whose ./nasos is this one."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "security_utils.sh", checkout / "scripts")
    (checkout / "nasos").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nasos "$@"\n')
    (checkout / "nasos").chmod(0o755)

    def run(program: str, script: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "-c", script], cwd=checkout, env={**operator.environment, **more}, input=stdin,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("program", SHELLS)
def test_the_shell_functions_store_and_get(
    shell: Callable[..., subprocess.CompletedProcess[str]], operator: Operator, program: str
) -> None:
    """A script stores by pipe, reads, lists and deletes; the value is never an argument."""
    key = operator.folder.replace("/", "-")
    script = f"""
. scripts/security_utils.sh
printf %s "$VALUE" | store_secret {key}
echo "[$(get_secret {key})]"
list_secrets | grep -c {key}
delete_secret {key}
get_secret {key}; echo "code $?"
get_secret; echo "code $?"
store_secret {key} value-on-argv; echo "code $?"
"""
    done = shell(program, script, VALUE="two\nlines")
    assert done.stdout.split("\n")[:3] == ["[two", "lines]", "1"], done.stderr
    assert done.stdout.split("\n")[3:-1] == ["code 3", "code 2", "code 2"]


def test_a_bots_launcher_hears_of_each_change(operator: Operator) -> None:
    """set, rm and restore of its records are poked, by name; those of others are not, and nobody need listen."""
    record = operator.folder.rpartition("/")[2]
    name, other = f"bots/nasos/{record}", f"bots/other/{record}"
    run, waker = operator.home / "run" / "bot", os.eventfd(0)
    run.mkdir(parents=True, exist_ok=True)
    with Pokes(run, "nasos", {os.geteuid()}) as pokes:
        for words in (("set", name, "-"), ("rm", name), ("restore", name)):
            assert operator.run(*words, stdin="x").returncode == 0
            assert pokes.wait(waker, 30) == {record: False}
        assert operator.run("set", other, "-", stdin="x").returncode == 0
        assert operator.run("get", name, "--reveal").returncode == 0
        assert pokes.wait(waker, 0) == {}
    assert operator.run("rm", name).returncode == 0
    os.close(waker)


@pytest.mark.parametrize("program", SHELLS)
def test_sourcing_changes_nothing_and_never_exits(
    shell: Callable[..., subprocess.CompletedProcess[str]], program: str
) -> None:
    """Shell options are the same before and after, under -eu too, and a failing function leaves the shell alive."""
    script = """
before=$-
. scripts/security_utils.sh
test "$before" = "$-" && echo same
get_secret ../x || echo alive
"""
    for options in ("", "set -eu\n"):
        done = shell(program, options + script)
        assert done.stdout == "same\nalive\n", done.stderr


def test_bash_finds_the_checkout_from_elsewhere(
    shell: Callable[..., subprocess.CompletedProcess[str]], operator: Operator
) -> None:
    """Sourced by path and called after cd; without a checkout and without nasos on PATH it says what to set."""
    script = 'here=$PWD; cd /; . "$here/scripts/security_utils.sh"; unset NASOS_PROJECT; list_secrets; echo $?'
    assert shell("bash", script).stdout.endswith("0\n")
    lost = shell(
        "sh", ". scripts/security_utils.sh; unset NASOS_PROJECT; cd /; list_secrets; echo $?", PATH="/usr/bin:/bin"
    )
    assert lost.stdout == "3\n"
    assert "NASOS_PROJECT" in lost.stderr
    assert operator.home.is_dir()
