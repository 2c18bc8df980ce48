from __future__ import annotations

import json
import re
import tomllib
from itertools import chain
from pathlib import Path

import click
import pytest

import documents
from documents import PAGES, PROJECT, blocks
from nasos.checks.exposure import MAP
from nasos.cli import root
from nasos.cloudflare.compose import containers
from nasos.settings import BotSettings, Document, parse_document
from nasos.stack.binaries import PROGRAMS

SCRIPTS = {
    "scripts/security_test.sh": ["check"],
    "scripts/setup_ssl.sh": ["tls", "setup"],
    "scripts/rotate_secrets.sh": ["rotate"],
    "config/vault/vault-init.sh": ["vault", "bootstrap"],
}
"""Scripts that hand their arguments on, and to what."""

ENGLISH, KOREAN = "README.md", "README.ko.md"


def parse(words: list[str]) -> None:
    """Read a command line as click would; nothing is run.

    Raises:
        click.UsageError: There is no such command, option or argument.
    """
    command: click.Command = root.nasos
    rest, context = list(words), context_of(command, None)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        _, found, rest = command.resolve_command(context, rest)
        assert found
        command, context = found, context_of(found, context)
    known = {parameter.name: parameter for parameter in command.params}
    values, left, _ = command.make_parser(context).parse_args(rest)
    if left:
        raise click.UsageError(f"got unexpected arguments {left}")
    for name, value in values.items():
        kind = known[name].type if name in known else None
        # A word in capitals, or <so>, stands for the reader's own.
        if isinstance(kind, click.Choice) and isinstance(value, str) and value.islower():
            kind.convert(value, known[name], context)


def context_of(command: click.Command, parent: click.Context | None) -> click.Context:
    """As click makes it: with the command's own settings, for commands remember the help option of the first one."""
    return click.Context(command, parent=parent, **command.context_settings)


def names_of(page: str) -> list[tuple[str, list[str]]]:
    """The commands of a page, with scripts as what they hand on to."""
    found = []
    for shown, (first, *rest) in documents.commands(page):
        if first == "nasos":
            found.append((shown, rest))
        elif first in SCRIPTS:
            found.append((shown, [*SCRIPTS[first], *rest]))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_exists(page: str) -> None:
    """With the options that are named with it, as the real command line reads them."""
    wrong = []
    for shown, words in names_of(page):
        try:
            parse(words)
        except click.UsageError as error:
            wrong.append(f"{shown}: {error.format_message()}")
    assert wrong == []


@pytest.mark.parametrize(
    "words", [["stop"], ["up", "--prot", "1"], ["secret", "put", "x"], ["logs", "databse"], ["down", "now"]]
)
def test_a_command_that_does_not_exist_would_be_found(words: list[str]) -> None:
    """Unknown command, option, subcommand, choice and argument."""
    with pytest.raises(click.UsageError):
        parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_script_that_is_named_exists(page: str) -> None:
    """And can be run, or sourced."""
    named = {first for _, (first, *_) in documents.commands(page)} - {"nasos"}
    assert {name for name in named if not (PROJECT / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    """Files exist, headings exist, other sites are named with https."""
    for link in documents.links(page):
        path, _, fragment = link.partition("#")
        if "://" in link:
            assert link.startswith("https://"), link
            continue
        target = ((PROJECT / page).parent / path).resolve() if path else PROJECT / page
        assert target.exists(), link
        if fragment:
            anchors = [documents.anchor(text) for _, text in documents.headings(str(target.relative_to(PROJECT)))]
            assert fragment in anchors, link


@pytest.mark.parametrize("page", PAGES)
def test_no_block_of_commands_hides_from_being_run(page: str) -> None:
    """A block without a language is a picture; one that begins with a command of ours says that it is sh."""
    hidden = [block.place for block in blocks(page) if not block.language and re.match(r"(\$ )?\./|nasos ", block.text)]
    assert hidden == []
    assert {block.language for block in blocks(page)} <= {"", "sh", "console", "python", "toml", "json", "yaml"}


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_data_can_be_read(page: str) -> None:
    """JSON is JSON (or a member of an object), TOML is TOML, YAML a compose file."""
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text if block.text.lstrip()[0] in "[{" else "{" + block.text + "}")
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "yaml":
            assert containers(block.text)


def test_the_first_screen_shows_what_it_is_worth() -> None:
    """In less than 40 lines: both commands, what they print, how to log in, what to do next."""
    screen = documents.read(ENGLISH).split("\n## ")[0]
    assert len(screen.splitlines()) < 40
    for text in (
        "git clone",
        "./scripts/setup_security.sh",
        "https://localhost:8443",
        "./nasos gateway user add YOU --role admin",
        "./nasos status",
        "./scripts/security_test.sh",
        "./nasos down",
    ):
        assert text in screen


def test_the_korean_page_says_the_same() -> None:
    """The same blocks, byte for byte, the same order of headings, the same links, tables of the same size."""
    english, korean = blocks(ENGLISH), blocks(KOREAN)
    assert [(block.language, block.text, block.mark, block.reason) for block in korean] == [
        (block.language, block.text, block.mark, block.reason) for block in english
    ]
    assert [level for level, _ in documents.headings(KOREAN)] == [level for level, _ in documents.headings(ENGLISH)]
    for english_part, korean_part in zip(sections(ENGLISH), sections(KOREAN), strict=True):
        assert sorted(re.findall(r"\]\(([^)\s]+)\)", korean_part)) == sorted(
            re.findall(r"\]\(([^)\s]+)\)", english_part)
        ), korean_part[:80]
        for row in (r"^\|", r"^- "):
            count = len(re.findall(row, english_part, re.MULTILINE))
            assert len(re.findall(row, korean_part, re.MULTILINE)) == count, korean_part[:80]


def test_the_korean_page_is_korean() -> None:
    """Every section has more Hangul than Latin letters outside code, links and names."""
    for part in sections(KOREAN):
        words = re.sub(r"`[^`]*`|\([^)]*\)|\[|\]", "", part)
        hangul, latin = len(re.findall(r"[가-힣]", words)), len(re.findall(r"[A-Za-z]", words))
        assert hangul > latin / 2, part[:80]


def sections(page: str) -> list[str]:
    """A page without its blocks, by its headings."""
    return documents.prose(page).split("\n## ")


def test_the_platforms_table_says_what_is_pinned() -> None:
    """aarch64 is called supported only when every embedded program is pinned for it."""
    [row] = re.findall(r"^\| Linux aarch64 \| (.*) \|$", documents.read(ENGLISH), re.MULTILINE)
    pinned = {name for name, program in PROGRAMS.items() if "aarch64" in program.sha256}
    assert row.startswith("not yet") is (pinned != set(PROGRAMS))
    assert ("OpenBao" in row) is ("bao" in pinned)


def test_the_readmes_settings_are_understood(tmp_path: Path) -> None:
    """The example for a real exchange changes exactly what it shows, and leaves dry-run on."""
    [example] = [block for block in blocks(ENGLISH) if block.language == "toml"]
    (tmp_path / "nasos.toml").write_text(example.text)
    document = parse_document(tmp_path / "nasos.toml")
    assert document.bot == BotSettings(name="mine", exchange="config", config="my-config.json", dry_run=True)
    assert document.tls == Document().tls


def test_the_help_that_is_shown_is_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/stack.md holds what `./nasos --help` prints."""
    [shown] = [block for block in blocks("docs/stack.md") if block.text.startswith("$ ./nasos --help\n")]
    assert root.run(["--help"]) == 0
    assert shown.text == "$ ./nasos --help\n" + capsys.readouterr().out


def test_every_file_with_a_secret_is_listed_with_its_mode() -> None:
    """docs/stack.md and the check of modes and owners know the same private files; the rest of them hold no secret."""
    without_secret = {
        "vault/config.hcl",
        "vault/aside.hcl",
        "bot/*/base.json",
        "log/*.log*",
        "ledger/events*",
        "run/bot/events*",
        "run/gateway/events*",
        "gateway/*",
        "run/watcher/state.json",
        "run/rotator/state.json",
        "tls/acme/renewal.json",
        "tls/cloudflare/renewal.json",
        "tls/cloudflare/origin.json",
    }
    without_secret |= {"audit/*/audit.log-*", "run/housekeeping/state.json", "run/housekeeping/ballast"}
    without_secret |= {"backup.json", "cloudflare.json", "import/*/journal.json"}
    without_secret |= {
        "run/companion/state.json",
        "run/companion/cloudflare.json",
        "run/companion/lock",
        "run/companion/events*",
    }
    expected = {line.pattern for line in MAP if line.mode == 0o600} - without_secret
    rows = documents.listed_files()
    assert {row.pattern for row in rows} == expected
    assert {row.mode for row in rows} == {0o600}


def test_the_architecture_names_every_event_and_no_other() -> None:
    """The ledger's names, as the code writes them."""
    page = documents.read("ARCHITECTURE.md").split("## Ledger event")[1].split("\n## ")[0]
    families = "gateway|vault|secret|stack|postgres|bot|tls|ledger|host|program|alert|backup|rotation|cloudflare"
    written = set()
    for path in (PROJECT / "src").rglob("*.py"):
        if "checks" not in path.parts:
            written |= set(re.findall(rf'"((?:{families})\.[a-z-]+)"', path.read_text()))
    leaves = {f"{service}.{kind}" for service in ("vault", "postgres", "bot", "gateway") for kind in ("pem", "key")}
    files = {
        *leaves,
        "stack.json",
        "postgres.log",
        "backup.json",
        "cloudflare.json",
        "bot.localhost",
        "gateway.localhost",
        "nginx.localhost",
        "sessions.db",
        "gateway.json",
    }
    assert set(re.findall(r"`([a-z]+\.[a-z-]+)`", page)) == written - files


def test_the_architecture_maps_every_private_place() -> None:
    """Each file and directory whose mode is checked stands in the map of the state directory."""
    page = documents.read("ARCHITECTURE.md").split("## State directory")[1].split("\n## ")[0]
    missing = [line.pattern for line in MAP if line.pattern != "." and _stem(line.pattern) not in page]
    assert missing == []


def _stem(pattern: str) -> str:
    return pattern.split("/", maxsplit=1)[0].rstrip("*")


def test_the_symptoms_are_messages_of_ours() -> None:
    """Each message that docs/troubleshooting.md explains stands in the source."""
    source = "".join(
        path.read_text() for path in chain((PROJECT / "src").rglob("*.py"), (PROJECT / "scripts").rglob("*.sh"))
    )
    symptoms = re.findall(r"^`([^`]+)`[:,]", documents.read("docs/troubleshooting.md"), re.MULTILINE)
    assert len(symptoms) > 12
    assert [text for text in symptoms if text not in source] == []


def test_troubleshooting_covers_the_three_sections_of_the_users_document() -> None:
    """Vault, Cloudflare, SSL/TLS, with an entry for each symptom named there."""
    page = documents.read("docs/troubleshooting.md").split("\n## ")
    entries = {part.split("\n")[0]: re.findall(r"^### (.+)$", part, re.MULTILINE) for part in page}
    assert {"The server cannot be reached", "Authentication fails", "A secret cannot be rotated"} <= set(
        entries["Vault"]
    )
    assert len(entries["Cloudflare"]) == 3
    assert {"HTTPS does not answer", "The certificate has expired"} <= set(entries["SSL/TLS"])
