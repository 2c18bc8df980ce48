"""The official SDK, strict about every answer, takes the simulated Cloudflare for the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import cloudflare
import pytest
from cloudflare.types.dns.batch_patch_param import BatchPatchParam
from cloudflare.types.dns.record_batch_params import Post, RecordBatchParams
from cloudflare.types.origin_ca_certificates import OriginCACertificateCreateParams
from cloudflare.types.origin_tls_client_auth import SettingUpdateParams, ZoneCertificateCreateParams
from cloudflare.types.rulesets import BlockRuleParam, ExecuteRuleParam, SetCacheSettingsRuleParam
from cloudflare.types.zones import SettingEditParams
from pydantic import TypeAdapter, ValidationError

from nasos.cloudflare import origin_ca, pulls
from nasos.cloudflare.answers import Record
from nasos.cloudflare.client import Client
from nasos.cloudflare.dns import records_of, send_batch, zone_by_id
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Change
from nasos.cloudflare.zone.carry import carry
from nasos.cloudflare.zone.plan import Aim, plan
from nasos.cloudflare.zone.read import state_of
from nasos.cloudflare.zone.settings import SettingChange
from nasos.secret import Secret
from nasos.tls import names
from nasos.tls.certificate import new_key, request
from nasos.tls.pulls import fresh
from simulators.cloudflare import Cloudflare, Token, Zone, busy
from simulators.cloudflare_server import serving

TOKEN = "t" * 40


@pytest.fixture
def simulated() -> Cloudflare:
    """Two zones, and records of every kind that ours have to live with."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    simulated.add_zone("example.org", plan="pro", status="pending")
    simulated.add(zone, "A", "www", "203.0.113.7", proxied=True, comment="by hand")
    simulated.add(zone, "TXT", "@", "v=spf1 -all")
    simulated.add(zone, "CNAME", "docs", "docs.example.net", ttl=300)
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """The first of them."""
    return next(iter(simulated.zones.values()))


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


def require_typed(sent: bytes) -> None:
    """What we sent, part by part: pydantic (2.13) panics at an alias of aliases in a list that it validates lazily."""
    document = json.loads(sent)
    assert set(document) == {"deletes", "patches", "posts"} < set(RecordBatchParams.__annotations__)
    for each in document["deletes"]:
        assert set(each) == {"id"}
    [patch], [post] = document["patches"], document["posts"]
    TypeAdapter[Any](BatchPatchParam).validate_python(patch, strict=True)
    TypeAdapter[Any](Post).validate_python(post, strict=True)


def test_our_requests_are_those_of_the_sdk(simulated: Cloudflare, zone: Zone) -> None:
    """A batch of ours fits the SDK's typed parameters, and what it made is what the SDK would have made."""
    new = Wanted("example.com", "bot.example.com", "AAAA", "2001:db8::7", proxied=True, ttl=1, source="bot")
    alias = Wanted("example.com", "docs.example.com", "CNAME", "b.example.net", proxied=False, ttl=60, source="docs")
    with serving(simulated) as origin, Client(Secret(TOKEN), origin) as client:
        found = zone_by_id(client, zone.id)
        www, _, docs = records_of(client, found)
        send_batch(client, found, [Change("docs", (www,), ((docs, alias),), (new,))], Owner("home"))
        sent = simulated.bodies[-1]
        require_typed(sent)
        with pytest.raises(ValidationError):
            require_typed(sent.replace(b'"AAAA"', b'"BBBB"'))
        after = {record.id: record for record in records_of(client, found)}
    assert www.id not in after
    assert after[docs.id] == Record(
        docs.id, "docs.example.com", "CNAME", "b.example.net", proxied=False, ttl=60, comment="nasos:home docs"
    )
    assert sum(record.content == "2001:db8::7" for record in after.values()) == 1


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


def test_our_requests_for_certificates_are_those_of_the_sdk(simulated: Cloudflare, zone: Zone) -> None:
    """Typed parameter by typed parameter."""
    shown, csr = fresh(datetime.now(UTC)), request(new_key(), "", names.hosts(["bot.example.com"])).decode()
    with serving(simulated) as origin, Client(Secret(TOKEN), origin) as client:
        at = zone_by_id(client, zone.id)
        origin_ca.issued(client, at, csr, ["bot.example.com"])
        asked = json.loads(simulated.bodies[-1])
        TypeAdapter[Any](OriginCACertificateCreateParams).validate_python(asked)
        pulls.upload(client, at, shown.certificate.decode(), shown.key)
        asked = json.loads(simulated.bodies[-1])
        TypeAdapter[Any](ZoneCertificateCreateParams).validate_python({**asked, "zone_id": zone.id})
        pulls.enable(client, at)
        asked = json.loads(simulated.bodies[-1])
        TypeAdapter[Any](SettingUpdateParams).validate_python({**asked, "zone_id": zone.id}, strict=True)
    assert zone.pulls_on


RULES = {
    "block": BlockRuleParam, "execute": ExecuteRuleParam, "set_cache_settings": SetCacheSettingsRuleParam,
}  # fmt: skip


@pytest.mark.parametrize("plan_", ["free", "pro"])
def test_our_rules_and_settings_are_those_of_the_sdk(simulated: Cloudflare, zone: Zone, plan_: str) -> None:
    """Each rule that we send fits its typed parameters, and the SDK reads it back; one of other types would not fit."""
    zone.plan = plan_
    aim = Aim(owner="home", hosts=("bot.example.com",), plan=plan_, origin_trusted=True)
    sent = {}
    with serving(simulated) as origin, Client(Secret(TOKEN), origin) as client:
        found = zone_by_id(client, zone.id)
        for change in plan(state_of(client, found), aim, datetime.now(UTC)).changes:
            if isinstance(change, SettingChange):
                TypeAdapter[Any](SettingEditParams).validate_python({"zone_id": zone.id, "value": change.after})
                continue
            assert change.body is not None
            sent[change.what] = body = dict(change.body)
            assert set(body) <= set(BlockRuleParam.__annotations__)
            TypeAdapter[Any](RULES[str(body["action"])]).validate_python(body)
            with pytest.raises(ValidationError):
                TypeAdapter[Any](RULES[str(body["action"])]).validate_python({**body, "enabled": {"no": 1}})
        end = carry(client, found, lambda state: plan(state, aim, datetime.now(UTC)))
        assert (end.refused, len(end.done) > len(sent)) == ((), True)
        oracle: Any = cloudflare.Cloudflare(api_token=TOKEN, base_url=origin, _strict_response_validation=True)
        for phase in zone.rulesets:
            assert all(
                each.ref.startswith("nasos_home_") for each in oracle.rulesets.phases.get(phase, zone_id=zone.id).rules
            )
        oracle.close()
