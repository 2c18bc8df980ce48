"""Tokens that may too much, too little, or not for long, on the simulated Cloudflare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.cloudflare import direct
from nasos.cloudflare.examine import excess, held
from nasos.cloudflare.permissions import ACME, KNOWN, RECORDS, ZONE, Excess, Held, Task
from nasos.errors import CloudflareError, CloudflareRefused, CloudflareUnreachable
from nasos.finding import Severity
from nasos.settings import CloudflareSettings
from simulators.cloudflare import HTML, Cloudflare, Reply, Token, failing, failure

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VALUE = "t" * 40
FITTING = {
    "records": (RECORDS, {"dns:edit"}),
    "zone": (ZONE, {"zone:read", "settings:edit", "waf:edit", "cache:edit", "ssl:edit"}),
    "acme": (ACME, {"dns:edit"}),
}
RIGHTS = {
    "dns": "Zone · DNS", "settings": "Zone · Zone Settings", "waf": "Zone · Zone WAF", "cache": "Zone · Cache Rules",
    "ssl": "Zone · SSL and Certificates", "redirect": "Zone · Single Redirect", "pages": "Zone · Page Rules",
    "firewall": "Zone · Firewall Services", "routes": "Zone · Workers Routes", "workers": "Account · Workers Scripts",
    "account": "Account · Account Settings", "user": "User · User Details", "tokens": "User · API Tokens",
}  # fmt: skip


class World:
    """One zone of ours, one of somebody else's, and a token that sees the first."""

    def __init__(self) -> None:
        self.simulated = Cloudflare()
        self.zone = self.simulated.add_zone("example.com")
        self.other = self.simulated.add_zone("example.org")
        self.settings = CloudflareSettings(None, self.zone.id)

    def give(self, *permissions: str, **more: object) -> None:
        """The token is another one now."""
        given = {"zones": frozenset({self.zone.id}), **more}
        self.simulated.tokens[:] = [Token(VALUE, frozenset(permissions), **given)]  # type: ignore[arg-type]

    def held(self, task: Task) -> Held:
        """What is found of its task."""
        with direct(self.simulated) as client:
            return held(client, self.settings, task, ".env")

    def excess(self, task: Task) -> Excess:
        """What is found beside it."""
        with direct(self.simulated) as client:
            return excess(client, self.settings, task, ".env")


@pytest.fixture
def world() -> World:
    """That."""
    return World()


@pytest.mark.parametrize("kind", FITTING)
def test_a_token_that_fits_its_task_has_nothing_to_be_said_of_it(world: World, kind: str) -> None:
    """It can do all of it and is refused everything else; nothing but questions was asked."""
    task, permissions = FITTING[kind]
    world.give(*permissions)
    assert world.held(task).trouble(NOW) == ""
    assert world.excess(task).words == ""
    assert world.simulated.changes == []


def test_every_permission_that_is_tried_has_its_row_here() -> None:
    """So that each is seen to be found."""
    assert set(RIGHTS.values()) == {each.name for each in KNOWN}


@pytest.mark.parametrize("how", ["read", "edit"])
@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("right", RIGHTS)
def test_one_permission_too_many_is_named(world: World, kind: str, right: str, how: str) -> None:
    """By the dashboard's name, whether it may read or edit; one that the task needs is none too many."""
    task, permissions = FITTING[kind]
    needed = {each.name for each in task.needs}
    world.give(*permissions, f"{right}:{how}")
    found = world.excess(task)
    assert found.words == ("" if RIGHTS[right] in needed else RIGHTS[right])
    assert (found.harm is Severity.CRITICAL) == (right == "tokens")


def test_other_zones_are_named(world: World) -> None:
    """A token for all zones is too wide, whatever it may do there; one for the zones that are named is not."""
    for number in range(4):
        world.simulated.add_zone(f"z{number}.example")
    world.give("dns:edit", zones=None)
    found = world.excess(RECORDS)
    assert found.words == "other zones (example.org, z0.example, z1.example and 2 more)"
    assert found.harm is Severity.HIGH
    world.simulated.fail_next("GET /zones", Reply(403, failure((0, "requires permission 'zone.list' to list zones"))))
    assert world.excess(RECORDS).words == ""


@pytest.mark.parametrize("kind", FITTING)
def test_each_permission_that_its_task_lacks_is_named_before_anything_is_done(world: World, kind: str) -> None:
    """One by one, with the zone; reading where editing is needed is named, too, where Cloudflare tells."""
    task, permissions = FITTING[kind]
    for left_out in permissions - {"zone:read"}:
        name = left_out.partition(":")[0]
        rest = {"zone:read"} | permissions - {left_out}
        world.give(*rest)
        assert world.held(task).trouble(NOW) == f"it lacks {RIGHTS[name]} · Edit for example.com"
        if name != "cache":
            world.give(*rest, f"{name}:read")
            assert world.held(task).trouble(NOW) == f"it lacks {RIGHTS[name]} · Edit for example.com"
    assert world.simulated.changes == []


def test_a_paid_zone_needs_one_more_and_a_zone_that_cannot_be_read_is_named(world: World) -> None:
    """By what its plan includes; and without the zone itself nothing else is asked."""
    task, permissions = FITTING["zone"]
    world.zone.plan = "pro"
    world.give(*permissions)
    assert world.held(task).trouble(NOW) == "it lacks Zone · HTTP DDoS Managed Ruleset · Edit for example.com"
    world.give(*permissions, "ddos:edit")
    assert (world.held(task).trouble(NOW), world.excess(task).words) == ("", "")
    world.give(*(permissions - {"zone:read"}))
    assert 'lacks "Zone · Zone · Read"' in world.held(task).trouble(NOW)


@pytest.mark.parametrize(
    ("days", "trouble"),
    [(None, ""), (15, ""), (13, "it ends on 2026-12-06"), (-1, "it ends on 2026-11-22")],
)
def test_a_token_that_ends_soon_is_told_in_time(world: World, days: int | None, trouble: str) -> None:
    """Two weeks before."""
    end = None if days is None else (NOW + timedelta(days=days)).isoformat()
    world.give("dns:edit", expires_on=end)
    found = world.held(RECORDS)
    assert found.trouble(NOW) == trouble
    assert found.end == ("without an end" if days is None else f"until {NOW + timedelta(days=days):%Y-%m-%d}")


def test_a_token_that_does_not_count_is_a_finding_and_no_riddle(world: World) -> None:
    """Ended, unknown, or for another zone."""
    world.give("dns:edit", status="expired")
    assert "does not accept the API token" in world.held(RECORDS).trouble(NOW)
    world.simulated.tokens.clear()
    assert "does not accept the API token" in world.held(RECORDS).trouble(NOW)
    world.give("dns:edit", zones=frozenset({world.other.id}))
    assert "the zone is not one of its zones" in world.held(RECORDS).trouble(NOW)


def test_an_accounts_own_token_is_asked_about_where_that_is_answered(world: World) -> None:
    """The user's question does not know it."""
    world.give("dns:edit", account=True, expires_on=(NOW + timedelta(days=3)).isoformat())
    assert world.held(RECORDS).trouble(NOW) == "it ends on 2026-11-26"
    world.simulated.fail_next("GET /accounts/.*/verify", Reply(403, failure((9109, "Unauthorized"))))
    found = world.held(RECORDS)
    assert (found.trouble(NOW), found.end) == ("", "its end is not told")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (HTML, CloudflareUnreachable),
        (Reply(403, raw=b"<html>Forbidden</html>"), CloudflareUnreachable),
        (Reply(400, failure((1234, "Something else"))), CloudflareRefused),
        (failing(503), CloudflareUnreachable),
    ],
    ids=["html", "html-403", "unknown-code", "503"],
)
def test_what_cannot_be_told_is_neither_refused_nor_permitted(
    world: World, reply: Reply, error: type[CloudflareError]
) -> None:
    """A proxy's page, a code that nobody knows, no answer: an error, for each question."""
    world.give("dns:edit")
    for path in (r"GET /user/tokens", r"GET .*/pagerules", r"GET /zones"):
        world.simulated.fail_next(path, reply, times=5)
        with pytest.raises(error):
            world.excess(RECORDS)
        world.simulated.faults.clear()
    world.simulated.fail_next("GET .*/dns_records", reply, times=5)
    with pytest.raises(error):
        world.held(RECORDS)
