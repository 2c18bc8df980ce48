from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from fixtures.cloudflare import Clock, direct
from nasos.cloudflare.answers import Record
from nasos.cloudflare.apply import Applied, converge
from nasos.cloudflare.client import Client
from nasos.cloudflare.dns import require_active, zone_by_id, zone_by_name
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Plan, Terms, plan
from nasos.errors import ChangeUnknown, CloudflareRefused, CloudflareUnreachable, PermissionMissing
from simulators.cloudflare import BROKEN, HTML, Cloudflare, Reply, Token, Zone, busy, failing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER = Owner("home")
FAULTS = (failing(500), failing(503), failing(520), busy("1"), busy("300"), BROKEN, HTML, Reply(200, raw=b'{"succ'))


@pytest.fixture
def simulated() -> Cloudflare:
    """A zone with somebody else's records."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    simulated.add(zone, "A", "www", "203.0.113.1", comment="by hand")
    simulated.add(zone, "TXT", "@", "v=spf1 -all")
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


def want(count: int, **more: str) -> list[Wanted]:
    """So many names."""
    content = more.get("content", "203.0.113.7")
    return [
        Wanted("example.com", f"n{number:03}.example.com", "A", content, proxied=False, ttl=1, source="bot")
        for number in range(count)
    ]


def reach(client: Client, zone: Zone, wanted: Sequence[Wanted]) -> Applied:
    """Bring the zone there, without a grace."""

    def planned(records: Sequence[Record]) -> Plan:
        return plan(records, wanted, Terms(OWNER, grace=timedelta()), NOW, {})

    return converge(client, zone_by_id(client, zone.id), OWNER, planned)


def ours(zone: Zone) -> set[tuple[str, str]]:
    """Name and content of what we made."""
    return {(each["name"], each["content"]) for each in zone.records.values() if "nasos:" in (each["comment"] or "")}


def test_a_hundred_changes_cost_one_list_and_one_batch(simulated: Cloudflare, zone: Zone) -> None:
    """An idle look costs one call; creation, repair and removal go in one transaction."""
    client = direct(simulated)
    reach(client, zone, want(100))
    base = f"/zones/{zone.id}"
    assert simulated.requests == [f"GET {base}", f"GET {base}/dns_records", f"POST {base}/dns_records/batch"]
    simulated.requests.clear()
    mixed = [*want(30), *want(60, content="203.0.113.8")[30:]]
    assert len(reach(client, zone, mixed).done) == 70
    assert len(simulated.requests) == 3
    simulated.requests.clear()
    assert reach(client, zone, mixed).done == ()
    assert simulated.requests == [f"GET {base}", f"GET {base}/dns_records"]
    assert len(ours(zone)) == 60


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", range(len(FAULTS)))
@pytest.mark.parametrize("where", ["GET /zones/[0-9a-f]+", "GET .*dns_records", "POST .*batch"])
def test_any_fault_before_or_after_it_was_done_ends_in_the_same_zone(
    simulated: Cloudflare, zone: Zone, where: str, fault: int, *, after: bool
) -> None:
    """Nothing twice, nothing lost, nobody else's record touched; a second look changes nothing."""
    foreign = dict(zone.records)
    simulated.fail_next(where, FAULTS[fault], after=after)
    client = direct(simulated)
    reads = "GET" in where
    try:
        outcome = reach(client, zone, want(3))
    except CloudflareUnreachable:
        # A read that got HTML or half a document is not repeated: it is said, and nothing was changed.
        assert reads
        assert FAULTS[fault].raw is not None
        assert FAULTS[fault].status == 200
        outcome = reach(client, zone, want(3))
    assert len(outcome.done) == 3
    assert len(ours(zone)) == 3
    assert {key: zone.records[key] for key in foreign} == foreign
    before = len(simulated.changes)
    reach(client, zone, want(3))
    assert len(simulated.changes) == before


def test_answers_that_are_lost_for_ever_are_said(simulated: Cloudflare, zone: Zone) -> None:
    """After four looks."""
    simulated.fail_next("POST .*", failing(500), times=99)
    with pytest.raises(ChangeUnknown):
        reach(direct(simulated), zone, want(1))
    assert len(simulated.changes) == 4


def test_one_bad_name_holds_nobody_up(simulated: Cloudflare, zone: Zone) -> None:
    """It is found by halving, and said with Cloudflare's own reason."""
    wanted = want(64)
    wanted[40] = Wanted("example.com", "n040.example.com", "A", "203.0.113.7", proxied=False, ttl=20, source="bot")
    outcome = reach(direct(simulated), zone, wanted)
    assert len(outcome.done) == len(ours(zone)) == 63
    assert [(each.change.name, each.error.codes) for each in outcome.refused] == [("n040.example.com", (9021,))]
    assert len(simulated.changes) <= 1 + 2 * 6


def test_a_zone_that_is_full_takes_what_fits(simulated: Cloudflare, zone: Zone) -> None:
    """The 201st record of a Free zone is refused; removals make room first; the rest is not tried one by one."""
    outcome = reach(direct(simulated), zone, want(250))
    assert len(zone.records) == 200
    assert len(outcome.done) == 198
    assert {each.error.codes for each in outcome.refused} == {(81045,)}
    assert len(outcome.refused) == 52
    assert len(simulated.changes) < 25
    other = [
        *want(100),
        *(
            Wanted("example.com", f"m{number}.example.com", "A", "203.0.113.7", proxied=False, ttl=1, source="m")
            for number in range(98)
        ),
    ]
    assert reach(direct(simulated), zone, other).refused == ()
    assert len(ours(zone)) == 198


def test_a_burst_larger_than_a_batch_goes_in_several(simulated: Cloudflare, zone: Zone) -> None:
    """Of 200 operations, which every plan takes."""
    zone.plan = "pro"
    outcome = reach(direct(simulated), zone, want(1000))
    assert len(outcome.done) == len(ours(zone)) == 1000
    assert len(simulated.changes) == 5


def test_others_at_work_are_met_by_looking_again(simulated: Cloudflare, zone: Zone) -> None:
    """A record of ours that somebody removed, and a name that somebody took, between our look and our batch."""
    client = direct(simulated)
    reach(client, zone, want(4))
    mine = [key for key, each in zone.records.items() if each["name"] == "n001.example.com"]

    def meanwhile() -> None:
        if simulated.requests[-1].endswith("dns_records"):
            simulated.between = None
            del zone.records[mine[0]]
            simulated.add(zone, "CNAME", "n009", "theirs.example.net")

    simulated.between = meanwhile
    wanted = want(10, content="203.0.113.9")
    outcome = reach(client, zone, wanted)
    assert outcome.refused == ()
    assert [each.name for each in outcome.plan.conflicts] == ["n009.example.com"]
    assert ours(zone) == {(each.name, each.content) for each in wanted[:9]}
    assert sum(each["content"] == "theirs.example.net" for each in zone.records.values()) == 1


def test_a_thousand_requests_stay_below_the_policy(simulated: Cloudflare, zone: Zone) -> None:
    """By the client's own clock: no window of 300 s sees more than 960."""
    clock = Clock()
    client, sent = direct(simulated, clock=clock), []
    simulated.between = lambda: sent.append(clock.now)
    for _ in range(1500):
        zone_by_id(client, zone.id)
    assert all(sent[number + 961] - sent[number] > 300 for number in range(len(sent) - 961))


def test_a_zone_is_found_by_its_whole_name_only(simulated: Cloudflare) -> None:
    """And one that was moved away is not written to."""
    simulated.add_zone("notexample.com")
    gone = simulated.add_zone("moved.example", status="moved")
    simulated.tokens.append(Token("o" * 40, zones=frozenset({gone.id})))
    client = direct(simulated)
    assert zone_by_name(client, "Example.com").name == "example.com"
    for name in ("xample.com", "com", "example.co", "example.com.evil.net"):
        with pytest.raises(PermissionMissing, match="sees no zone"):
            zone_by_name(client, name)
    with pytest.raises(PermissionMissing, match="sees no zone"):
        zone_by_name(direct(simulated, "o" * 40), "example.com")
    require_active(zone_by_name(client, "example.com"))
    with pytest.raises(CloudflareRefused, match="moved"):
        require_active(zone_by_name(client, "moved.example"))
