"""The official SDK, strict about every answer, takes the simulated Cloudflare for the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import cloudflare
import pytest

from nasos.tls import names
from nasos.tls.certificate import new_key, request
from nasos.tls.pulls import fresh
from simulators.cloudflare import Cloudflare, Token, Zone, busy
from simulators.cloudflare_server import serving

TOKEN = "t" * 40


@pytest.fixture
def sdk(simulated: Cloudflare) -> Iterator[Any]:
    """The oracle."""
    with (
        serving(simulated) as origin,
        cloudflare.Cloudflare(
            api_token=TOKEN, base_url=origin, max_retries=0, _strict_response_validation=True
        ) as client,
    ):
        yield client


def test_the_sdk_takes_every_answer(sdk: Any, zone: Zone) -> None:
    """Token, zones, settings, ranges; records: list, filters, create, change, replace, remove."""
    assert sdk.user.tokens.verify().status == "active"
    assert [each.name for each in sdk.zones.list()] == ["example.com", "example.org"]
    assert [each.id for each in sdk.zones.list(name="example.com")] == [zone.id]
    assert sdk.zones.get(zone_id=zone.id).plan.legacy_id == "free"
    assert sdk.zones.settings.edit("ssl", zone_id=zone.id, value="strict").value == "strict"
    assert sdk.ips.list().ipv4_cidrs
    records = sdk.dns.records
    made = records.create(zone_id=zone.id, name="bot", type="AAAA", ttl=1, content="2001:DB8::0:1", comment="nasos:x")
    assert (made.name, made.content) == ("bot.example.com", "2001:db8::1")
    assert [each.id for each in records.list(zone_id=zone.id, comment={"startswith": "NASOS:"})] == [made.id]
    assert [each.type for each in records.list(zone_id=zone.id, name={"exact": "docs.example.com"})] == ["CNAME"]
    assert len(list(records.list(zone_id=zone.id, per_page=2))) == 4
    edited = records.edit(made.id, zone_id=zone.id, name="bot", type="AAAA", ttl=60, proxied=True)
    assert (edited.ttl, edited.proxied, edited.comment) == (1, True, "nasos:x")
    replaced = records.update(made.id, zone_id=zone.id, name="bot", type="AAAA", ttl=60, content="2001:db8::2")
    assert (replaced.ttl, replaced.proxied, replaced.comment) == (60, False, None)
    assert records.get(made.id, zone_id=zone.id) == replaced
    assert records.delete(made.id, zone_id=zone.id).id == made.id


def test_a_batch_is_all_or_nothing(sdk: Any, zone: Zone) -> None:
    """In the documented order: what is removed makes room for what is made."""
    [www, spf, docs] = zone.records
    new = {"name": "docs.example.com", "type": "A", "ttl": 1, "content": "203.0.113.8"}
    before = dict(zone.records)
    with pytest.raises(cloudflare.BadRequestError):
        sdk.dns.records.batch(zone_id=zone.id, deletes=[{"id": spf}], posts=[new])
    assert zone.records == before
    told = sdk.dns.records.batch(
        zone_id=zone.id, deletes=[{"id": docs}], patches=[{"id": www, "comment": "still by hand"}], posts=[new]
    )
    assert ([each.id for each in told.deletes], told.patches[0].comment) == ([docs], "still by hand")
    assert told.posts[0].content == "203.0.113.8"
    posts = [{**new, "name": f"n{number}.example.com"} for number in range(201)]
    with pytest.raises(cloudflare.BadRequestError, match="too many"):
        sdk.dns.records.batch(zone_id=zone.id, posts=posts)
    with pytest.raises(cloudflare.BadRequestError, match="quota"):
        sdk.dns.records.batch(zone_id=zone.id, posts=posts[:200])
    assert len(zone.records) == 3


def test_the_sdk_understands_every_refusal(sdk: Any, simulated: Cloudflare, zone: Zone) -> None:
    """By the exception that it has for the status."""
    simulated.tokens.append(Token("r" * 40, frozenset({"dns:read"})))
    with pytest.raises(cloudflare.PermissionDeniedError):
        sdk.with_options(api_token="r" * 40).dns.records.delete(next(iter(zone.records)), zone_id=zone.id)
    with pytest.raises(cloudflare.AuthenticationError):
        sdk.with_options(api_token="u" * 40).user.tokens.verify()
    with pytest.raises(cloudflare.NotFoundError):
        sdk.dns.records.get("f" * 32, zone_id=zone.id)
    simulated.fail_next(".*", busy("5"))
    with pytest.raises(cloudflare.RateLimitError):
        sdk.zones.get(zone_id=zone.id)


def test_the_oracle_would_say_no(sdk: Any, zone: Zone) -> None:
    """An answer of another shape is refused by it."""
    record = next(iter(zone.records.values()))
    record["ttl"] = "soon"
    with pytest.raises(cloudflare.APIResponseValidationError):
        sdk.dns.records.get(record["id"], zone_id=zone.id)


LIMIT = {"characteristics": ["cf.colo.id", "ip.src"], "period": 10, "requests_per_period": 5, "mitigation_timeout": 10}


def test_the_sdk_takes_settings_and_rulesets(sdk: Any, zone: Zone) -> None:
    """Every setting; rules: the first of a phase, one more, changed, removed, all replaced.

    What a change answers the SDK (5.9.0) does not look at: a look at the phase follows, and its types are strict.
    """
    for name in zone.settings:
        assert sdk.zones.settings.get(name, zone_id=zone.id).id == name
    rules, phases = sdk.rulesets.rules, sdk.rulesets.phases

    def seen(phase: str = "http_request_firewall_custom") -> Any:
        found = phases.get(phase, zone_id=zone.id)
        assert (found.kind, found.phase) == ("zone", phase)
        return found

    with pytest.raises(cloudflare.NotFoundError):
        seen()
    block = {"action": "block", "expression": "(ip.src eq 192.0.2.1)", "ref": "one", "description": "x"}
    new = {"zone_id": zone.id, "kind": "zone", "name": "default", "phase": "http_request_firewall_custom"}
    sdk.rulesets.create(**new, rules=[block])
    with pytest.raises(cloudflare.BadRequestError):
        sdk.rulesets.create(**new, rules=[])
    [first], at = seen().rules, {"ruleset_id": seen().id, "zone_id": zone.id}
    rules.create(**at, **{**block, "ref": "two"})
    rules.edit(first.id, **at, **{**block, "enabled": False})
    assert [(each.ref, each.enabled) for each in seen().rules] == [("one", False), ("two", True)]
    assert seen().rules[0].id == first.id
    rules.delete(first.id, **at)
    assert [each.ref for each in seen().rules] == ["two"]
    cache = {**block, "action": "set_cache_settings", "action_parameters": {"cache": False}}
    run = {**block, "action": "execute", "action_parameters": {"id": "7" * 32}}
    for phase, rule in (
        ("http_ratelimit", {**block, "ratelimit": LIMIT}),
        ("http_request_cache_settings", cache),
        ("http_request_firewall_managed", run),
    ):
        phases.update(phase, zone_id=zone.id, rules=[rule])
        assert [each.action for each in seen(phase).rules] == [rule["action"]]


def test_the_sdk_takes_certificates_and_origin_pulls(sdk: Any, zone: Zone) -> None:
    """The Origin CA's: made, listed, read, revoked; client certificates: uploaded, deployed, switched on, removed."""
    csr = request(new_key(), "", names.hosts(["bot.example.com"])).decode()
    authority = sdk.origin_ca_certificates
    made = authority.create(csr=csr, hostnames=["bot.example.com"], request_type="origin-ecc", requested_validity=90)
    assert (made.csr, made.requested_validity) == (csr, 90)
    assert [each.id for each in authority.list(zone_id=zone.id)] == [made.id]
    assert authority.get(made.id).certificate == made.certificate
    assert authority.delete(made.id).id == made.id
    with pytest.raises(cloudflare.NotFoundError):
        authority.delete(made.id)
    with pytest.raises(cloudflare.BadRequestError):
        authority.create(csr="no", hostnames=["bot.example.com"], request_type="origin-ecc", requested_validity=90)
    pull, shown = sdk.origin_tls_client_auth, fresh(datetime.now(UTC))
    pair = {"certificate": shown.certificate.decode(), "private_key": shown.key.reveal()}
    up = pull.zone_certificates.create(zone_id=zone.id, **pair)
    assert up.status == "pending_deployment"
    assert [each.id for each in pull.zone_certificates.list(zone_id=zone.id)] == [up.id]
    assert [each.status for each in pull.zone_certificates.list(zone_id=zone.id)] == ["active"]
    assert pull.settings.get(zone_id=zone.id).enabled is False
    assert pull.settings.update(zone_id=zone.id, enabled=True).enabled is True
    assert pull.zone_certificates.delete(up.id, zone_id=zone.id).id == up.id
    assert list(pull.zone_certificates.list(zone_id=zone.id)) == []


BESIDE: dict[str, Callable[[Any, Zone], object]] = {
    "tokens:read": lambda sdk, _: list(sdk.user.tokens.list()),
    "user:read": lambda sdk, _: sdk.user.get(),
    "account:read": lambda sdk, _: list(sdk.accounts.members.list(account_id="a" * 32)),
    "workers:read": lambda sdk, _: list(sdk.workers.scripts.list(account_id="a" * 32)),
    "routes:read": lambda sdk, zone: list(sdk.workers.routes.list(zone_id=zone.id)),
    "firewall:read": lambda sdk, zone: list(sdk.firewall.access_rules.list(zone_id=zone.id)),
    "pages:read": lambda sdk, zone: sdk.page_rules.list(zone_id=zone.id),
    "settings:read": lambda sdk, zone: sdk.zones.settings.get("ssl", zone_id=zone.id),
    "ssl:read": lambda sdk, zone: list(sdk.origin_tls_client_auth.zone_certificates.list(zone_id=zone.id)),
    "dns:read": lambda sdk, zone: list(sdk.dns.records.list(zone_id=zone.id)),
}


@pytest.mark.parametrize("right", BESIDE)
def test_the_sdk_takes_what_a_token_that_may_too_much_is_told(
    sdk: Any, simulated: Cloudflare, zone: Zone, right: str
) -> None:
    """Each question that finds it, answered to whoever has the permission and refused to whoever has not."""
    simulated.tokens += [Token("w" * 40, frozenset({right})), Token("n" * 40, frozenset())]
    BESIDE[right](sdk.with_options(api_token="w" * 40), zone)
    with pytest.raises(cloudflare.PermissionDeniedError):
        BESIDE[right](sdk.with_options(api_token="n" * 40), zone)


def test_the_sdk_takes_what_is_said_of_a_token(sdk: Any, simulated: Cloudflare) -> None:
    """Until when it counts; an account's own is known to its account only."""
    simulated.tokens[0].expires_on = "2027-01-01T00:00:00Z"
    assert sdk.user.tokens.verify().expires_on == datetime(2027, 1, 1, tzinfo=UTC)
    simulated.tokens.append(Token("o" * 40, account=True))
    account = sdk.with_options(api_token="o" * 40)
    with pytest.raises(cloudflare.AuthenticationError):
        account.user.tokens.verify()
    assert account.accounts.tokens.verify(account_id="a" * 32).status == "active"
