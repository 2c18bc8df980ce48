"""`nasos check cloudflare` as it is typed, on the simulated Cloudflare over a real connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.cloudflare import configured
from nasos.cli.root import run
from nasos.cloudflare import client
from simulators.cloudflare import Cloudflare, Token, Zone, failing
from simulators.cloudflare_server import serving

TOKEN = "t" * 40


@pytest.fixture
def simulated() -> Cloudflare:
    """A zone, a proxied name of the bot's, and a token that may change its records."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    simulated.add(zone, "A", "bot", "203.0.113.7", proxied=True)
    simulated.tokens[:] = [Token(TOKEN, frozenset({"dns:edit"}), frozenset({zone.id}))]
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, simulated: Cloudflare, zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with settings: Cloudflare is to be in front."""
    configured(tmp_path, zone, TOKEN, monkeypatch)
    with serving(simulated) as origin:
        (tmp_path / "nasos.toml").write_text(
            '[tls]\nmode = "cloudflare"\nhosts = ["bot.example.com"]\n'
            f'[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\napi = "{origin}"\n'
        )
        yield tmp_path


def found(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Findings by the end of their id."""
    run(["check", "cloudflare", "--json"])
    shown = capsys.readouterr().out
    assert TOKEN not in shown
    return {each["id"].partition(".")[2]: each for each in json.loads(shown)["findings"]}


def test_a_token_for_records_alone_is_all_it_should_be(
    simulated: Cloudflare, capsys: pytest.CaptureFixture[str]
) -> None:
    """And cannot see the zone's settings, which is said; nothing was changed."""
    findings = found(capsys)
    states = {name: findings[name]["state"] for name in ("tokens", "least-privilege", "records", "zone")}
    assert states == {"tokens": "pass", "least-privilege": "pass", "records": "pass", "zone": "fail"}
    assert "Zone · Zone Settings · Read" in findings["zone"]["evidence"]
    assert simulated.changes == []


def test_what_is_wrong_is_named(simulated: Cloudflare, zone: Zone, capsys: pytest.CaptureFixture[str]) -> None:
    """A token for everything, a name that shows the machine, a zone that is not strict."""
    simulated.tokens[0].permissions |= {"settings:edit", "waf:edit", "cache:edit", "ssl:edit", "tokens:read"}
    next(iter(zone.records.values()))["proxied"] = False
    findings = found(capsys)
    assert {findings[name]["state"] for name in ("least-privilege", "records", "zone")} == {"fail"}
    assert findings["least-privilege"]["severity"] == "critical"
    assert "User · API Tokens" in findings["least-privilege"]["evidence"]
    assert findings["records"]["evidence"] == "bot.example.com (A) is not proxied"
    assert "min_tls_version would change" in findings["zone"]["evidence"]


def test_who_cannot_be_asked_is_not_green(
    simulated: Cloudflare, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cloudflare is away: an error, and what depends on it is skipped."""
    monkeypatch.setattr(client, "BACKOFF", ())
    simulated.fail_next(".*", failing(503), times=1000)
    findings = found(capsys)
    assert (findings["tokens"]["state"], findings["least-privilege"]["state"]) == ("error", "skip")


def test_the_global_key_is_refused_with_words(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever else stands in .env."""
    with (here / ".env").open("a") as file:
        file.write("CLOUDFLARE_EMAIL=me@example.com\nCLOUDFLARE_API_KEY=" + "a" * 37 + "\n")
    assert run(["check", "cloudflare"]) == 2
    shown = capsys.readouterr().err
    assert "is the global API key, which may do everything" in shown
    assert "a" * 37 not in shown
