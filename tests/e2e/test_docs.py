"""The pages are executed: every block of `sh`, `python` and `console` in them, on the stack that the walk set up."""

from __future__ import annotations

import json
import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import documents
from documents import PAGES, Block, blocks, differences, examples, shape
from fixtures.old_bot import old_bot, write_trades
from fixtures.stack import WALKERS, Walk, free_base_port

NOT_RUN = {
    "README.md": [
        "needs the repository's address",
        "asks for a real exchange's keys, and needs a network",
        "needs a network",
        "a test that runs the tests",
    ],
    "docs/backup.md": [
        "it asks at a terminal",
        "cron's own format",
        "it replaces the stack that the other pages are tested on",
    ],
    "docs/cloudflare.md": [
        "it asks at a terminal",
        "needs a zone at Cloudflare; tests/unit/cli/test_cloudflare_command.py runs each line on a simulated one",
        "needs Docker and a zone at Cloudflare",
        "it does not end; tests/integration/cloudflare/test_beside_docker.py runs it beside a real Docker Engine",
        "needs a zone at Cloudflare; tests/unit/cli/test_zone_command.py runs each line on a simulated one",
        "needs a zone at Cloudflare; tests/integration/cloudflare/test_setup_behind_cloudflare.py types it, simulated",
        "it asks at a terminal",
    ],
    "docs/compose.md": [
        "needs Docker; tests/integration/compose/test_compose_project.py runs it on a real Engine",
        "needs Docker",
        "it does not end, and needs Docker",
    ],
    "docs/alert.md": ["nothing was cut, and it asks"],
    "docs/gateway.md": ["asks for a password", "needs a second bot"],
    "docs/import.md": ["it runs until you stop it"],
    "docs/run.md": ["the stack's bot runs already, and the programs are yours"],
    "docs/secret.md": [
        "it asks at a terminal",
        "it asks at a terminal",
        "to a terminal, and to a program of yours",
    ],
    "docs/vault.md": [
        "it asks for a passphrase, and each start of the stack would ask for it from then on",
        "it needs systemd, a TPM and root",
        "vault is away for some seconds, and the copy of the key has to be made anew",
        "it asks for passwords",
        "it asks for the recovery key",
    ],
    "docs/rotate.md": [
        "tests/contract/test_third_party.py runs the suite on it",
        "cron's own format",
        "cron's own format",
    ],
    "docs/tls.md": [
        "it asks a public CA for a certificate of the reader's own host",
    ],
    "docs/stack.md": [
        "it would remove the stack that the other pages are tested on",
        "it would change what this machine does at boot",
    ],
}
"""The blocks that a test cannot run, each with its reason: a new one has to be argued here."""

READERS_OWN = {"KEY": "a-key-of-the-readers-own", "value": "a-value-of-the-readers-own"}
"""What the reader has in his shell."""

# README.ko.md holds the README's blocks byte for byte (tests/unit/docs).
RUN = tuple(page for page in PAGES if page != "README.ko.md")
AS_ROOT_TOO = ("README.md", "docs/stack.md", "docs/vault.md")
"""What differs where each service has a user of its own."""
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def reader(bot: Walk) -> Iterator[Walk]:
    """A reader with a key of his own at hand; afterwards nothing in Vault is what some page shows."""
    key = bot.project / "key.pem"
    key.write_text("-----BEGIN KEY-----\nof the reader's own\n-----END KEY-----\n")
    old = Path(bot.environment["HOME"]) / "freqtrade"
    old_bot(old)
    write_trades(old / "tradesv3.dryrun.sqlite", bot.project / ".venv-bot" / "bin" / "python")
    if bot.user:
        subprocess.run(["/usr/bin/chown", "-R", bot.user, str(old)], check=True)
    yield bot
    key.unlink()
    shutil.rmtree(old)
    for row in bot.json("secret", "list", "app"):
        bot.nasos("secret", "set", row["name"], stdin=secrets.token_urlsafe(24))


@pytest.fixture(scope="module")
def second_port(reader: Walk) -> Iterator[int]:
    """A port for the second stack of docs/stack.md, which is removed afterwards."""
    yield free_base_port()
    home = Path(reader.environment["HOME"]) / "second"
    if (home / "stack.json").exists():
        reader.run("./nasos", "down", extra={"NASOS_HOME": str(home)}, check=False)
        stack_id = json.loads((home / "stack.json").read_text())["id"]
        for keys in (Path("/etc/nasos"), home.parent / ".config" / "nasos"):
            shutil.rmtree(keys / stack_id, ignore_errors=True)
        shutil.rmtree(home)


def shell(walk: Walk, script: str) -> tuple[int, str]:
    """Run a script as the reader; its exit code, and what to say about it (no stdout that was to reveal)."""
    done = walk.run("/bin/sh", "-euc", script, stdin="", extra=READERS_OWN, check=False)
    shown = done.stdout if "--reveal" not in script else ""
    return done.returncode, f"exit code {done.returncode} of\n{script}\n{shown}\n{done.stderr}"


def scripts(block: Block) -> list[str]:
    """A block as one script, or line by line where commands may exit with more than 0."""
    return block.text.splitlines() if block.mark.startswith("exits") else [block.text]


@pytest.mark.parametrize(
    ("stack", "page"),
    [
        (walker, page)
        for walker in WALKERS
        for page in RUN
        if (walker == "ordinary" or page in AS_ROOT_TOO) and any(block.language == "sh" for block in blocks(page))
    ],
    indirect=["stack"],
    scope="session",
)
def test_every_command_of_a_page_runs(reader: Walk, second_port: int, page: str) -> None:
    """In order, in the checkout, with nothing on standard input; exit code 0 unless the page says otherwise."""
    failed = []
    for block in blocks(page):
        if block.language == "python" and block.mark != "not run":
            # A snippet stores what the commands below it look at.
            reader.run(".venv/bin/python", "-c", block.text)
        if block.language != "sh" or block.mark == "not run":
            continue
        for script in scripts(block):
            code, told = shell(reader, script.replace("9443", str(second_port)))
            if code not in block.codes:
                failed.append(f"{block.place}: {told}")
    assert failed == []
    assert reader.healthy()


def test_what_is_not_run_is_counted_and_named() -> None:
    """A block that is marked as not run stands in the list above, with its reason."""
    found: dict[str, list[str]] = {}
    for page in RUN:
        for block in blocks(page):
            if block.mark == "not run":
                found.setdefault(page, []).append(block.reason)
    assert found == NOT_RUN


@pytest.mark.parametrize("page", [page for page in RUN if any(block.language == "console" for block in blocks(page))])
def test_what_a_page_shows_is_what_is_printed(reader: Walk, page: str) -> None:
    """Line by line, numbers and places apart; `...` stands for lines that are left out."""
    for block in blocks(page):
        if block.language == "console":
            first, _, shown = block.text.partition("\n")
            command = first.removeprefix("$ ")
            if command == "./scripts/setup_security.sh":
                printed = reader.setup.stderr + reader.setup.stdout
            else:
                printed = reader.run("/bin/sh", "-euc", command).stdout
            assert matches(shown, printed.replace(str(reader.project), "/home/you/nasos")), (block.place, printed)


def matches(shown: str, printed: str) -> bool:
    """Whether what was printed is what is shown."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(_plain(line)) + r"\n" for line in shown.strip("\n").split("\n")
    )
    return re.fullmatch(pattern, _plain(printed).strip("\n") + "\n") is not None


def _plain(text: str) -> str:
    # Which of the two database roles has its turn is no difference.
    return re.sub(r" {2,}", "  ", NUMBER.sub("#", text)).replace("nasos_b", "nasos_a")


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("a 1 s\nb\nc\n", True),
        ("a 22.5 s\nb\nx\ny\nc\n", True),
        ("a 1 s\nc\n", False),
        ("a 1 s\nb\nc\nd\n", False),
        ("z\na 1 s\nb\nc\n", False),
    ],
)
def test_another_output_would_be_found(printed: str, *, same: bool) -> None:
    """A missing, added or changed line is a difference; a number is not."""
    assert matches("a 3 s\nb\n...\nc\n", printed) is same


def test_the_listed_files_are_as_listed(reader: Walk) -> None:
    """Each file of the table in docs/stack.md has its mode, and as root its owner; the first row that fits counts."""
    seen: set[Path] = set()
    for row in documents.listed_files():
        for path in set(reader.home.glob(row.pattern)) - seen:
            seen.add(path)
            found = path.stat()
            assert stat.S_IMODE(found.st_mode) == row.mode, path
            if reader.user is None and os.geteuid() == 0:
                assert pwd.getpwuid(found.st_uid).pw_name == row.owner, path
    assert len(seen) > 12


FREE_KEYS = {"nasos secret get --reveal": ("fields", "custom")}
"""Objects whose keys are the operator's own."""


NOWHERE = "json://127.0.0.1:1/"
"""A channel at which nobody listens."""


ELSEWHERE = {
    "nasos restore", "nasos cloudflare plan", "nasos cloudflare apply", "nasos cloudflare status",
    "nasos cloudflare zone plan", "nasos cloudflare zone apply",
}  # fmt: skip
"""Compared where a stack is restored (tests/e2e/test_restore.py), and where there is a simulated zone
(tests/unit/cli/test_cloudflare_command.py)."""


def arguments(reader: Walk, command: str) -> list[str]:
    """What a command needs besides its words."""
    if command == "nasos backup create":
        place = Path(reader.environment["HOME"])
        recipient = reader.nasos("backup", "keygen", str(place / f"shape-{secrets.token_hex(4)}.key")).stdout.strip()
        return [str(place / "shape.age"), "--recipient", recipient, "--force"]
    match command.split()[1:]:
        case ["secret", action, *_] if action != "list":
            return ["app/shape"]
        case ["alert", "add"]:
            return ["shape"]
        case ["alert", "test"]:
            return ["--channel", "shape"]
    return []


@pytest.mark.parametrize("stack", ["ordinary"], indirect=True, scope="session")
@pytest.mark.parametrize("command", [command for command in examples() if command not in ELSEWHERE])
def test_documents_have_the_shape_that_is_documented(reader: Walk, command: str) -> None:
    """Each command's `--json` prints exactly the fields of its example in docs/json.md, of the same kinds."""
    words = command.split()[1:]
    reader.nasos("secret", "set", "app/shape", "--description", "for people", stdin=secrets.token_urlsafe(24))
    if words == ["alert", "test"]:
        reader.nasos("alert", "add", "shape", stdin=NOWHERE)
    stdin = NOWHERE if words[0] == "alert" else secrets.token_urlsafe(24) if "set" in words else ""
    done = reader.nasos(*words, *arguments(reader, command), "--json", stdin=stdin, check=False)
    expected, found = shape(examples()[command]), shape(json.loads(done.stdout))
    for key in FREE_KEYS.get(command, ()):
        assert isinstance(expected, dict)
        assert isinstance(found, dict)
        assert expected.pop(key)
        assert found.pop(key)
    if words[0] == "alert":
        reader.nasos("alert", "rm", "shape", check=False)
    assert list(differences(expected, found)) == []
