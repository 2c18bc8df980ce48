"""``nasos tls setup --mode cloudflare`` as it is typed: real processes, Vault, nginx; Cloudflare is simulated."""

from __future__ import annotations

import json

import pytest

import fixtures.behind as bench
from fixtures.behind import ELSEWHERE, THERE, TOKEN, Behind
from nasos.stack.origin.memory import NAME, PULLS, Stage, place
from simulators.cloudflare import HTML, Token
from simulators.cloudflare_origin import OriginAuthority

NOWHERE = "127.99.99.99"
"""Nobody listens there."""


def test_the_script_goes_the_whole_way_and_says_how_each_step_was_proven(behind: Behind) -> None:
    """At its end visitors come in through Cloudflare, and nobody past it; a second run changes nothing there."""
    done = behind.run(str(bench.CHECKOUT / "scripts" / "setup_ssl.sh"), "--mode", "cloudflare")
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stderr.splitlines() if line.startswith("✓ ") and ": " in line]
    assert [line.removeprefix("✓ ").partition(":")[0] for line in steps] == [
        "edge", "addresses", "client certificate", "zone", "closed"
    ]  # fmt: skip
    assert 'back: mode = "dev" under [tls] in nasos.toml, then ./nasos tls setup --mode dev' in done.stderr
    assert "trust this CA" not in done.stderr
    assert behind.becomes(ELSEWHERE, open_=False)
    assert behind.becomes(THERE, open_=False)
    assert (behind.stage, behind.signer(), behind.zone.settings["ssl"]) == (Stage.REQUIRED, "cloudflare", "strict")
    assert set(behind.front.statuses) == {404}
    changed = len(behind.simulated.changes)
    assert behind.setup().returncode == 0
    assert len(behind.simulated.changes) == changed


def test_status_and_renewal_after_it(behind: Behind) -> None:
    """Missing before, good after; renewed by force once, the one before revoked, nobody else let in."""
    before = behind.nasos("tls", "status", "--json")
    edge = {each["service"]: each for each in json.loads(before.stdout)["certificates"]}["edge"]
    assert (before.returncode, edge["state"], edge["issuer"]) == (1, "missing", "cloudflare")
    behind.gone()
    after = behind.nasos("tls", "status")
    assert (after.returncode, "edge      good" in after.stdout) == (0, True)
    [old] = behind.simulated.origin.certificates
    assert behind.nasos("tls", "renew").returncode == 0
    assert [*behind.simulated.origin.certificates] == [old]
    done = behind.nasos("tls", "renew", "--force")
    assert (done.returncode, "issued by Cloudflare, shown by nginx" in done.stderr) == (0, True)
    assert len(behind.simulated.origin.certificates) == 1
    assert [*behind.simulated.origin.certificates] != [old]
    assert (behind.stage, behind.becomes(ELSEWHERE, open_=False)) == (Stage.REQUIRED, True)


def refused(behind: Behind, code: int, said: str, hint: str, *words: str) -> None:
    """The command ends with this, and everybody gets in as before, by a certificate that works."""
    before, signer = behind.stage, behind.signer()
    done = behind.nasos(*(words or ("tls", "setup", "--mode", "cloudflare")))
    errors = [line for line in done.stderr.splitlines() if line.startswith(("nasos: error: ", "nasos: hint: "))]
    assert (done.returncode, len(errors)) == (code, 2), done.stderr
    assert said in errors[0]
    assert hint in errors[1]
    assert (behind.stage, behind.signer(), behind.asks(ELSEWHERE)) == (before, signer, 404)


@pytest.mark.parametrize("words", [("setup", "--mode", "cloudflare"), ("renew",)])
def test_without_a_token_nothing_is_begun(behind: Behind, words: tuple[str, ...]) -> None:
    """The hint stores one."""
    behind.token(None)
    try:
        refused(
            behind, 2, "there is no Cloudflare API token", "nasos secret set cloudflare/zone --field token",
            "tls", *words,
        )  # fmt: skip
    finally:
        behind.token(TOKEN)
    assert not (place(behind.stack.home) / NAME).exists()
    assert behind.simulated.requests == []


def test_a_token_that_may_too_little_is_told_which_permission(behind: Behind) -> None:
    """By the dashboard's name for it; each try is in the ledger."""
    behind.simulated.tokens[:] = [Token(TOKEN, frozenset({"zone:read", "dns:edit"}))]
    refused(behind, 3, 'lacks "Zone · SSL and Certificates · Edit"', "https://dash.cloudflare.com/profile/api-tokens")
    assert str(behind.events("tls.renew")[-1].outcome) == "failed"


def test_a_revoked_token_is_refused(behind: Behind) -> None:
    """And is not taken for one that may too little."""
    behind.simulated.tokens[:] = []
    refused(behind, 3, "does not accept the API token", "make a new token")


def test_a_zone_that_was_moved_away_is_refused(behind: Behind) -> None:
    """Cloudflare would answer for nobody there."""
    behind.zone.status = "moved"
    refused(behind, 3, "the zone example.com is moved", "dig NS example.com")


@pytest.mark.parametrize("hosts", [(), ("localhost",), ("192.0.2.7",)])
def test_names_that_cloudflare_cannot_stand_for_are_refused(behind: Behind, hosts: tuple[str, ...]) -> None:
    """None, this machine's own, an address: nothing is begun."""
    behind.configure(hosts=hosts)
    refused(behind, 2, f"hosts has {hosts[0]}" if hosts else "needs hosts under [tls]", "")
    assert behind.simulated.requests == []


def test_a_name_of_another_zone_is_refused(behind: Behind) -> None:
    """One that only ends like it: Cloudflare is asked which zone it is, and for nothing else."""
    behind.configure(hosts=("bot.notexample.com",))
    done = behind.setup()
    assert (done.returncode, "bot.notexample.com is not in the zone example.com" in done.stderr) == (2, True)
    assert "hint: hosts under [tls] in nasos.toml" in done.stderr
    assert (behind.simulated.changes, behind.stage) == ([], Stage.OPEN)


def test_another_mode_in_the_settings_is_refused(behind: Behind) -> None:
    """Which one counts is never guessed."""
    behind.configure("dev")
    refused(behind, 2, 'asks for mode = "dev"', 'mode = "cloudflare" and hosts under [tls]')


def test_a_certificate_that_is_not_of_cloudflares_authority_is_not_used(behind: Behind) -> None:
    """Whoever answers for Cloudflare: the development certificate stays in use."""
    real, behind.simulated.__dict__["origin"] = behind.simulated.origin, OriginAuthority()
    try:
        refused(behind, 3, "", "")
    finally:
        behind.simulated.__dict__["origin"] = real


def test_a_certificate_that_nginx_refuses_is_taken_back(behind: Behind) -> None:
    """nginx's own test says no, here for a neighbouring file; the one before is shown on, and is not revoked."""
    behind.gone()
    [served] = behind.simulated.origin.certificates
    pulls = place(behind.stack.home) / PULLS
    good = pulls.read_bytes()
    pulls.write_bytes(b"nobody's certificate\n")
    done = behind.nasos("tls", "renew", "--force")
    assert (done.returncode, "the new certificate was taken back" in done.stderr) == (3, True)
    assert served in behind.simulated.origin.certificates
    assert (behind.signer(), behind.becomes(ELSEWHERE, open_=False)) == ("cloudflare", True)
    pulls.write_bytes(good)


def test_a_name_that_leads_nowhere_closes_nothing(behind: Behind) -> None:
    """Everybody gets in still; led here it goes on, and closes."""
    hosts = behind.hosts.read_text()
    behind.hosts.write_text(f"{NOWHERE} {bench.HOST}\n")
    try:
        done = behind.setup()
    finally:
        behind.hosts.write_text(hosts)
    assert (done.returncode, "does not answer through Cloudflare" in done.stderr) == (3, True)
    assert "the same command goes on from here" in done.stderr
    assert (behind.stage, behind.asks(ELSEWHERE)) == (Stage.ASKING, 404)
    assert behind.setup().returncode == 0
    assert behind.becomes(ELSEWHERE, open_=False)


def test_a_run_during_an_outage_opens_nothing(behind: Behind) -> None:
    """Of the API, and of the way of visitors: it fails, and the origin stays closed to everybody else."""
    behind.gone()
    behind.simulated.fail_next(".*", HTML, times=99)
    done = behind.setup()
    assert (done.returncode, "does not speak its language" in done.stderr) == (3, True)
    behind.simulated.faults.clear()
    hosts = behind.hosts.read_text()
    behind.hosts.write_text(f"{NOWHERE} {bench.HOST}\n")
    try:
        done = behind.setup()
    finally:
        behind.hosts.write_text(hosts)
    assert (done.returncode, behind.stage, behind.asks(ELSEWHERE)) == (3, Stage.REQUIRED, 0)


def test_the_way_back_and_there_again(behind: Behind) -> None:
    """Back needs nothing of Cloudflare, and says what is left to do there; there again is proven from its beginning."""
    behind.gone()
    pulled = [*behind.zone.pulls]
    behind.configure("dev")
    behind.simulated.fail_next(".*", HTML, times=99)
    asked = len(behind.simulated.requests)
    done = behind.run(str(bench.CHECKOUT / "scripts" / "setup_ssl.sh"), "--mode", "dev")
    assert (done.returncode, "answers visitors with 526 now" in done.stderr) == (0, True)
    assert len(behind.simulated.requests) == asked
    assert behind.becomes(ELSEWHERE, open_=True)
    assert (behind.signer(), behind.stage) == ("development", Stage.OPEN)
    assert behind.front.ask(bench.HOST, "/")[0] == 526
    again = behind.nasos("tls", "setup", "--mode", "dev")
    assert (again.returncode, "526" in again.stderr) == (0, False)
    behind.simulated.faults.clear()
    behind.configure()
    hosts = behind.hosts.read_text()
    behind.hosts.write_text(f"{NOWHERE} {bench.HOST}\n")
    assert behind.setup().returncode == 3
    behind.hosts.write_text(hosts)
    assert (behind.stage, behind.asks(ELSEWHERE)) == (Stage.ASKING, 404)
    assert behind.setup().returncode == 0
    assert [*behind.zone.pulls] == pulled
    assert (behind.becomes(ELSEWHERE, open_=False), behind.front.ask(bench.HOST, "/nowhere")[0]) == (True, 404)
