"""`nasos cloudflare zone` as it is typed, on the simulated Cloudflare over a real connection."""

from __future__ import annotations

import json
import shlex
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


@pytest.fixture
def simulated() -> Cloudflare:
    """A zone."""
    simulated = Cloudflare()
    simulated.add_zone("example.com")
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


@pytest.fixture
def here(tmp_path: Path, simulated: Cloudflare, zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with settings."""
    configured(tmp_path, zone, TOKEN, monkeypatch)
    (tmp_path / "home" / "tls" / "acme" / "live").mkdir(parents=True, mode=0o700)  # the edge shows a public certificate
    (tmp_path / "home").chmod(0o700)
    with serving(simulated) as origin:
        (tmp_path / "nasos.toml").write_text(
            '[tls]\nmode = "acme"\nhosts = ["bot.example.com"]\n[tls.acme]\nprogram = ["/bin/true"]\n'
            f'[cloudflare]\nowner = "home"\napi = "{origin}"\n'
        )
        yield tmp_path


def told(capsys: pytest.CaptureFixture[str], word: str) -> tuple[int, Any]:
    """Exit code and document of a command."""
    code = run(["cloudflare", "zone", word, "--json"])
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err
    return code, json.loads(shown.out) if shown.out else shown.err


@pytest.mark.usefixtures("here")
def test_the_pages_commands_do_what_it_says(zone: Zone, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of docs/cloudflare.md that hardens a zone: what would change, the change, and then nothing."""
    [block] = [each for each in documents.blocks("docs/cloudflare.md") if "zone apply" in each.text]
    lines = [shlex.split(line)[1:] for line in block.text.splitlines()]
    assert [run(line) for line in (*lines, lines[0])] == [1, 0, 0]
    shown = capsys.readouterr().out
    assert "~ setting ssl: full -> strict" in shown
    assert "✓ rule private in http_request_cache_settings" in shown
    assert "- DDoS override: not part of the Free plan" in shown
    assert zone.settings["ssl"] == "strict"


def test_a_plan_changes_nothing_and_drift_is_found(
    here: Path, simulated: Cloudflare, zone: Zone, capsys: pytest.CaptureFixture[str]
) -> None:
    """And each change is in the ledger once."""
    code, plan = told(capsys, "plan")
    assert (code, simulated.changes, (here / "home" / "ledger").exists()) == (1, [], False)
    assert "setting ssl" in {entry["what"] for entry in plan["to_do"]}
    code, done = told(capsys, "apply")
    assert (code, done["to_do"], set(done["done"]) >= {entry["what"] for entry in plan["to_do"]}) == (0, [], True)
    assert told(capsys, "plan")[0] == 0
    zone.settings["ssl"] = "flexible"
    code, drift = told(capsys, "plan")
    assert (code, [entry["what"] for entry in drift["to_do"]]) == (1, ["setting ssl"])
    events = [json.loads(line) for line in (here / "home" / "ledger" / "events.jsonl").read_text().splitlines()]
    assert [(each["event"], each["target"]) for each in events] == [("cloudflare.zone", "example.com")]


@pytest.mark.parametrize("mode", ["dev", "acme"])
def test_a_development_certificate_keeps_the_zone_from_being_strict(
    here: Path, zone: Zone, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """Also where another one was asked for, and is not there yet: all else is done; the finding says what to type."""
    text = (here / "nasos.toml").read_text()
    (here / "nasos.toml").write_text(text.replace('mode = "acme"', f'mode = "{mode}"'))
    (here / "home" / "tls" / "acme" / "live").rmdir()
    code, done = told(capsys, "apply")
    assert (code, zone.settings["ssl"], zone.settings["min_tls_version"]) == (1, "full", "1.2")
    assert [note["what"] for note in done["notes"] if note["wrong"]] == ["setting ssl"]


@pytest.mark.usefixtures("here")
def test_a_token_that_may_too_little_is_told_which_permission(
    simulated: Cloudflare, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them, by name."""
    simulated.tokens[:] = [Token(TOKEN, frozenset({"zone:read", "settings:edit"}))]
    code, done = told(capsys, "apply")
    words = " ".join(note["why"] for note in done["notes"] if note["wrong"])
    assert (code, '"Zone · Zone WAF · Edit"' in words, '"Zone · Cache Rules · Edit"' in words) == (1, True, True)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("word", ["plan", "apply"])
def test_documents_are_as_documented(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields of the example in docs/json.md, of the same kinds."""
    _, document = told(capsys, word)
    assert list(differences(shape(examples()["nasos cloudflare zone apply"]), shape(document))) == []
