"""`nasos cloudflare` as it is typed, on the simulated Cloudflare over a real connection."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import documents
from documents import differences, examples, shape
from fixtures.cloudflare import configured
from nasos.cli.root import run
from simulators.cloudflare import Cloudflare, Token, Zone
from simulators.cloudflare_server import serving

TOKEN = "t" * 40
COMPOSE = """
services:
  bot:
    labels: {cloudflare.subdomain: bot, cloudflare.proxied: "true"}
  web:
    labels: ["cloudflare.subdomain=www"]
"""


@pytest.fixture
def simulated() -> Cloudflare:
    """A zone in which somebody else has a name."""
    simulated = Cloudflare()
    simulated.add(simulated.add_zone("example.com"), "A", "www", "192.0.2.1", comment="by hand")
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


@pytest.fixture
def here(tmp_path: Path, simulated: Cloudflare, zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with settings and a compose file."""
    configured(tmp_path, zone, TOKEN, monkeypatch)
    (tmp_path / "docker-compose.yml").write_text(COMPOSE)
    with serving(simulated) as origin:
        settings(tmp_path, origin)
        yield tmp_path


def settings(here: Path, origin: str, more: str = "") -> None:
    """Write nasos.toml."""
    (here / "nasos.toml").write_text(
        f'[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\napi = "{origin}"\n{more}'
    )


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """Exit code and document of a command."""
    code = run(["cloudflare", *words, "--json"])
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err
    return code, json.loads(shown.out) if shown.out else shown.err


def names(zone: Zone) -> set[str]:
    """Of all records."""
    return {each["name"] for each in zone.records.values()}


@pytest.mark.usefixtures("here")
def test_the_pages_commands_do_what_it_says(zone: Zone, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of docs/cloudflare.md that needs a zone."""
    [block] = [each for each in documents.blocks("docs/cloudflare.md") if "cloudflare apply" in each.text]
    codes = [run(shlex.split(line)[1:]) for line in block.text.splitlines()]
    assert codes == [0, 1, 1]  # somebody else has www.example.com
    assert names(zone) == {"bot.example.com", "www.example.com"}
    shown = capsys.readouterr().out
    assert "token: active" in shown
    assert "+ bot.example.com  A 203.0.113.7 (proxied)  for bot" in shown
    assert "! www.example.com, for web: somebody else's A record is there" in shown


def test_a_plan_changes_nothing_and_an_apply_is_idle_the_second_time(
    here: Path, simulated: Cloudflare, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the event is in the ledger once."""
    code, plan = told(capsys, "plan")
    assert (code, [each["action"] for each in plan["zones"][0]["changes"]]) == (1, ["create"])
    assert (simulated.changes, (here / "home").exists()) == ([], False)
    _, done = told(capsys, "apply")
    assert done["zones"][0]["changes"] == plan["zones"][0]["changes"]
    _, again = told(capsys, "apply")
    assert (again["zones"][0]["changes"], len(simulated.changes)) == ([], 1)
    events = (here / "home" / "ledger" / "events.jsonl").read_text().splitlines()
    assert [json.loads(each)["event"] for each in events] == ["cloudflare.apply"]
    assert json.loads(events[0])["detail"]["created"] == "bot.example.com"


@pytest.mark.usefixtures("here")
def test_without_conflicts_everything_is_clean(zone: Zone, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; and drift is a finding."""
    zone.records.clear()
    assert told(capsys, "apply")[0] == 0
    assert told(capsys, "plan")[0] == 0
    next(iter(zone.records.values()))["proxied"] = False
    code, plan = told(capsys, "plan")
    assert (code, plan["zones"][0]["changes"][0]["before"]["proxied"]) == (1, False)


def test_what_nobody_asks_for_waits_for_its_grace_or_prune(
    here: Path, zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first apply remembers it on disk; an unreadable file or label removes nothing."""
    told(capsys, "apply")
    (here / "docker-compose.yml").write_text("services: {bot: {labels: {cloudflare.subdomain: a b}}}")
    code, document = told(capsys, "apply", "--prune")
    assert (code, document["mistakes"][0]["container"], "bot.example.com" in names(zone)) == (1, "bot", True)
    (here / "docker-compose.yml").write_text("services: [")
    assert told(capsys, "apply", "--prune")[0] == 2
    (here / "docker-compose.yml").write_text("services: {}")
    code, document = told(capsys, "apply")
    assert (code, [each["name"] for each in document["zones"][0]["waiting"]]) == (0, ["bot.example.com"])
    assert (here / "home" / "cloudflare.json").exists()
    assert "bot.example.com" in names(zone)
    assert run(["cloudflare", "plan"]) == 0
    assert ". bot.example.com  A 203.0.113.7 (proxied)  goes at 20" in capsys.readouterr().out
    assert told(capsys, "apply", "--prune")[0] == 0
    assert names(zone) == {"www.example.com"}


def test_what_is_missing_is_asked_for(here: Path, simulated: Cloudflare, capsys: pytest.CaptureFixture[str]) -> None:
    """Token, zone, owner, compose file: each with what to type."""
    toml, env = (here / "nasos.toml").read_text(), (here / ".env").read_text()
    (here / "nasos.toml").write_text(toml.replace('owner = "home"\n', ""))
    code, said = told(capsys, "plan")
    assert (code, 'owner = "home"' in said) == (2, True)
    (here / "nasos.toml").write_text(toml)
    (here / ".env").write_text(f"CLOUDFLARE_API_TOKEN={TOKEN}\n")
    code, said = told(capsys, "plan")
    assert (code, "set CLOUDFLARE_ZONE_ID" in said) == (2, True)
    (here / ".env").write_text("")
    code, said = told(capsys, "status")
    assert (code, "nasos secret set cloudflare/companion --field token" in said) == (2, True)
    (here / ".env").write_text(env)
    (here / "docker-compose.yml").unlink()
    code, said = told(capsys, "apply")
    assert (code, "nasos cloudflare plan --compose FILE" in said) == (2, True)
    assert simulated.changes == []


@pytest.mark.usefixtures("here")
def test_a_token_that_may_only_read_is_said(simulated: Cloudflare, capsys: pytest.CaptureFixture[str]) -> None:
    """By status, before anything is tried, and by apply, with the permission's name."""
    simulated.tokens[:] = [Token(TOKEN, frozenset({"dns:read", "zone:read"}))]
    code, document = told(capsys, "status")
    assert (code, document["zones"][0]["may_edit"]) == (1, False)
    code, said = told(capsys, "apply")
    assert (code, 'lacks "Zone · DNS · Edit"' in said) == (3, True)


def test_several_zones_are_served_and_look_alikes_are_not(
    here: Path, simulated: Cloudflare, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that are named, by their whole names."""
    other, evil = simulated.add_zone("example.org"), simulated.add_zone("notexample.org")
    (here / "nasos.toml").write_text((here / "nasos.toml").read_text() + 'zones = ["Example.org"]\n')
    (here / "docker-compose.yml").write_text(
        "services: {a: {labels: {cloudflare.subdomain: a.example.org}}, b: {labels: {cloudflare.subdomain: b}},"
        " c: {labels: {cloudflare.subdomain: c.notexample.org.}}}"
    )
    code, document = told(capsys, "apply")
    assert (code, [each["zone"] for each in document["zones"]]) == (1, ["example.com", "example.org"])
    assert (names(other), names(evil)) == ({"a.example.org"}, set())
    assert [each["container"] for each in document["mistakes"]] == ["c"]


def test_without_the_extra_it_is_said(here: Path) -> None:
    """One line, and what to type; help needs neither."""
    code = "import sys; sys.modules['httpx'] = None; from nasos.cli.root import run; sys.exit(run(sys.argv[1:]))"
    environment = {"NASOS_HOME": str(here / "home"), "NASOS_PROJECT": str(here), "PATH": "/usr/bin:/bin"}

    def typed(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, "cloudflare", *words],
            cwd=here, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert typed("--help").returncode == 0
    status = typed("status")
    assert status.returncode == 3
    assert status.stderr.splitlines() == [
        "nasos: error: httpx is not installed, which Cloudflare needs",
        "nasos: hint: uv sync --extra cloudflare --inexact",
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("word", ["status", "plan", "apply"])
def test_documents_are_as_documented(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields of the example in docs/json.md, of the same kinds."""
    _, document = told(capsys, word)
    assert list(differences(shape(examples()[f"nasos cloudflare {word}"]), shape(document))) == []
