"""A zone's plan carried out on the simulated Cloudflare, with faults on every request, before and after it is done."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fixtures.cloudflare import Clock, direct
from nasos.cloudflare.client import Client
from nasos.cloudflare.dns import zone_by_id
from nasos.cloudflare.zone.carry import Carried, carry
from nasos.cloudflare.zone.plan import Aim, plan
from nasos.cloudflare.zone.read import state_of
from nasos.errors import ChangeUnknown, CloudflareUnreachable
from simulators.cloudflare import BROKEN, HTML, Cloudflare, Token, Zone, busy, failing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FOREIGN = [
    {
        "id": f"{number:032x}", "ref": f"theirs-{number}", "version": "7", "last_updated": "2020-01-01T00:00:00Z",
        "action": "block", "expression": f"(ip.src eq 192.0.2.{number})", "enabled": number % 2 == 0,
        "description": "ä ☂ by hand", "logging": {"enabled": True},
    }
    for number in (1, 2)
]  # fmt: skip


@pytest.fixture
def simulated() -> Cloudflare:
    """A Free zone in which somebody has rules of his own."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    zone.rulesets["http_request_firewall_custom"] = {
        "id": "f" * 32, "name": "default", "description": "", "kind": "zone", "version": "3",
        "phase": "http_request_firewall_custom", "last_updated": "2020-01-01T00:00:00Z",
        "rules": copy.deepcopy(FOREIGN),
    }  # fmt: skip
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


def reach(client: Client, zone: Zone, plan_: str = "free", now: datetime = NOW) -> Carried:
    """Make it what it is to be."""
    aim = Aim(owner="home", hosts=("bot.example.com",), plan=plan_, origin_trusted=True)
    return carry(client, zone_by_id(client, zone.id), lambda state: plan(state, aim, now))


def refs(zone: Zone) -> dict[str, list[str]]:
    """Of all rules, by phase: others' in their order, ours sorted."""
    found = {phase: [rule["ref"] for rule in ruleset["rules"]] for phase, ruleset in zone.rulesets.items()}
    return {
        phase: [*(ref for ref in refs if "theirs" in ref), *sorted(ref for ref in refs if "theirs" not in ref)]
        for phase, refs in found.items()
    }


def foreign(zone: Zone) -> list[Any]:
    """The rules of somebody else, as they stand now."""
    rules = zone.rulesets["http_request_firewall_custom"]["rules"]
    return [rule for rule in rules if not rule["ref"].startswith("nasos_")]


WHOLE = {
    "http_request_firewall_custom": ["theirs-1", "theirs-2", "nasos_home_methods", "nasos_home_probes"],
    "http_request_firewall_managed": ["nasos_home_managed"],
    "http_ratelimit": ["nasos_home_logins"],
    "http_request_cache_settings": ["nasos_home_assets", "nasos_home_private"],
}


def test_a_zone_becomes_what_it_is_to_be_and_a_second_round_changes_nothing(simulated: Cloudflare, zone: Zone) -> None:
    """Settings and rules; the rules of others are the same to the byte, and in their order."""
    with direct(simulated) as client:
        end = reach(client, zone)
        assert (end.refused, end.left.changes, refs(zone)) == ((), (), WHOLE)
        assert foreign(zone) == FOREIGN
        assert (zone.settings["ssl"], zone.settings["min_tls_version"]) == ("strict", "1.2")
        assert zone.settings["security_header"]["strict_transport_security"]["max_age"] == 300
        assert zone.settings["brotli"] == "on"
        made, looked = len(simulated.changes), len(simulated.requests)
        again = reach(client, zone)
    assert (again.done, len(simulated.changes) - made) == ((), 0)
    assert len(simulated.requests) - looked == 7  # the zone, its settings, five phases


def test_hsts_grows_when_it_has_been_held(simulated: Cloudflare, zone: Zone) -> None:
    """By one step in a day and a week, however often it is applied."""
    ages = []
    with direct(simulated) as client:
        for days in (0, 0, 2, 3, 10, 41, 900):
            now = NOW + timedelta(days=days)
            before = copy.deepcopy(zone.settings["security_header"])
            reach(client, zone, now=now)
            if zone.settings["security_header"] != before:
                zone.modified["security_header"] = now.isoformat()
            ages.append(zone.settings["security_header"]["strict_transport_security"]["max_age"])
    assert ages == [300, 300, 86_400, 86_400, 2_592_000, 63_072_000, 63_072_000]
    assert zone.settings["security_header"]["strict_transport_security"]["preload"] is False


REQUESTS = ("GET .*/settings", "GET .*/entrypoint", "PATCH .*/settings/ssl", "POST .*/rulesets", "POST .*/rules")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "fault", [failing(500), failing(520), busy("2"), BROKEN, HTML], ids=["500", "520", "429", "broken", "html"]
)
@pytest.mark.parametrize("request_", REQUESTS)
def test_any_fault_on_any_request_ends_in_the_same_zone(
    simulated: Cloudflare, zone: Zone, request_: str, fault: Any, *, after: bool
) -> None:
    """At the latest in the next run; nothing is made twice, and nobody else's rule is touched."""
    simulated.fail_next(request_, fault, after=after)
    with direct(simulated, clock=Clock()) as client:
        try:
            reach(client, zone)
        except CloudflareUnreachable:
            reach(client, zone)
    assert (refs(zone), zone.settings["ssl"]) == (WHOLE, "strict")
    assert foreign(zone) == FOREIGN


def test_changing_and_removing_survive_a_lost_answer(simulated: Cloudflare, zone: Zone) -> None:
    """Of a rule of ours that drifted, and of one that is wanted no more."""
    with direct(simulated) as client:
        reach(client, zone)
        rules = zone.rulesets["http_request_firewall_custom"]["rules"]
        rules[2]["enabled"] = False
        rules.append({**copy.deepcopy(rules[3]), "id": "e" * 32, "ref": "nasos_home_old"})
        simulated.fail_next("PATCH .*/rules/.*", BROKEN, after=True)
        simulated.fail_next("DELETE .*/rules/.*", BROKEN, after=True)
        end = reach(client, zone)
    assert (refs(zone), {change.what.split()[1] for change in end.done}) == (WHOLE, {"methods", "old"})
    assert zone.rulesets["http_request_firewall_custom"]["rules"][2]["enabled"] is True


def test_answers_that_are_lost_again_and_again_are_said(simulated: Cloudflare, zone: Zone) -> None:
    """Not guessed."""
    simulated.fail_next("PATCH .*", BROKEN, times=1000)
    with direct(simulated) as client, pytest.raises(ChangeUnknown):
        reach(client, zone)


def test_each_missing_permission_is_named(simulated: Cloudflare, zone: Zone) -> None:
    """In the dashboard's words, and what the token may do is done all the same."""
    simulated.tokens[:] = [Token("t" * 40, frozenset({"zone:read", "waf:edit"}))]
    with direct(simulated) as client:
        end = reach(client, zone)
        told = " ".join(note.why for note in end.left.notes if note.wrong)
        assert '"Zone · Zone Settings · Read"' in told
        assert '"Zone · Cache Rules · Edit"' in told
        assert "HTTP DDoS" not in told  # a Free zone has nothing there
        assert set(refs(zone)) == set(WHOLE) - {"http_request_cache_settings"}
        zone.plan = "pro"
        found = state_of(client, zone_by_id(client, zone.id))
    assert any('"Zone · HTTP DDoS Managed Ruleset · Edit"' in note.why and note.wrong for note in found.unseen)


def test_what_cloudflare_refuses_stops_nothing_else(simulated: Cloudflare, zone: Zone) -> None:
    """A setting that it does not take is reported with its reason."""
    del zone.settings["0rtt"]
    zone.settings["tls_1_3"] = 7
    with direct(simulated) as client:
        end = reach(client, zone)
    assert [(each.change.what, "1007" in each.error.message) for each in end.refused] == [("setting tls_1_3", True)]
    assert refs(zone) == WHOLE


def test_a_paid_zone_gets_the_full_ruleset_and_the_override(simulated: Cloudflare, zone: Zone) -> None:
    """And its rate limit is for our hosts only."""
    zone.plan = "pro"
    with direct(simulated) as client:
        end = reach(client, zone, "pro")
    assert (end.refused, set(refs(zone))) == ((), {*WHOLE, "ddos_l7"})
    assert "bot.example.com" in zone.rulesets["http_ratelimit"]["rules"][0]["expression"]
