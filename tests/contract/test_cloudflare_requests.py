"""Every change that we send to Cloudflare fits the official SDK's typed parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cloudflare
import pytest
from cloudflare.types.dns.batch_patch_param import BatchPatchParam
from cloudflare.types.dns.record_batch_params import Post, RecordBatchParams
from cloudflare.types.origin_ca_certificates import OriginCACertificateCreateParams
from cloudflare.types.origin_tls_client_auth import SettingUpdateParams, ZoneCertificateCreateParams
from cloudflare.types.rulesets import (
    BlockRuleParam,
    ExecuteRuleParam,
    RulesetCreateParams,
    SetCacheSettingsRuleParam,
)
from cloudflare.types.zones import SettingEditParams
from pydantic import TypeAdapter, ValidationError

from fixtures.cloudflare_operations import OPERATIONS, World, endpoint
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
from simulators.cloudflare import Cloudflare, Zone
from simulators.cloudflare_server import serving

TOKEN = "t" * 40
RULES = {
    "block": BlockRuleParam, "execute": ExecuteRuleParam, "set_cache_settings": SetCacheSettingsRuleParam,
}  # fmt: skip


def rule_typed(body: dict[str, Any]) -> None:
    """By what it does."""
    assert set(body) <= set(BlockRuleParam.__annotations__)
    TypeAdapter[Any](RULES[str(body["action"])]).validate_python(body)


def ruleset_typed(body: dict[str, Any]) -> None:
    """And each rule in it."""
    assert {"zone_id", *body} <= set(RulesetCreateParams.__annotations__)
    for rule in body["rules"]:
        rule_typed(rule)


def batch_typed(body: dict[str, Any]) -> None:
    """Part by part: pydantic (2.13) panics at an alias of aliases in a list that it validates lazily."""
    assert set(body) < set(RecordBatchParams.__annotations__)
    assert all(set(each) == {"id"} for each in body.get("deletes", ()))
    parts: dict[str, Any] = {"patches": BatchPatchParam, "posts": Post}
    for kind, part in parts.items():
        for each in body.get(kind, ()):
            TypeAdapter[Any](part).validate_python(each, strict=True)


def typed(parameters: Any) -> Callable[[dict[str, Any]], None]:
    """Whose path names the zone."""
    return lambda body: TypeAdapter[Any](parameters).validate_python({**body, "zone_id": "z"}) and None


TYPED: dict[str, Callable[[dict[str, Any]], None]] = {
    "POST /zones/*/dns_records/batch": batch_typed,
    "PATCH /zones/*/settings/": typed(SettingEditParams),
    "POST /zones/*/rulesets": ruleset_typed,
    "POST /zones/*/rulesets/*/rules": rule_typed,
    "PATCH /zones/*/rulesets/*/rules/*": rule_typed,
    "POST /certificates": typed(OriginCACertificateCreateParams),
    "POST /zones/*/origin_tls_client_auth": typed(ZoneCertificateCreateParams),
    "PUT /zones/*/origin_tls_client_auth/settings": typed(SettingUpdateParams),
}


def test_our_requests_are_those_of_the_sdk(simulated: Cloudflare, zone: Zone) -> None:
    """A batch of ours fits the SDK's typed parameters, and what it made is what the SDK would have made."""
    new = Wanted("example.com", "bot.example.com", "AAAA", "2001:db8::7", proxied=True, ttl=1, source="bot")
    alias = Wanted("example.com", "docs.example.com", "CNAME", "b.example.net", proxied=False, ttl=60, source="docs")
    with serving(simulated) as origin, Client(Secret(TOKEN), origin) as client:
        found = zone_by_id(client, zone.id)
        www, _, docs = records_of(client, found)
        send_batch(client, found, [Change("docs", (www,), ((docs, alias),), (new,))], Owner("home"))
        sent = simulated.bodies[-1]
        batch_typed(json.loads(sent))
        with pytest.raises(ValidationError):
            batch_typed(json.loads(sent.replace(b'"AAAA"', b'"BBBB"')))
        after = {record.id: record for record in records_of(client, found)}
    assert www.id not in after
    assert after[docs.id] == Record(
        docs.id, "docs.example.com", "CNAME", "b.example.net", proxied=False, ttl=60, comment="nasos:home docs"
    )
    assert sum(record.content == "2001:db8::7" for record in after.values()) == 1


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
            rule_typed(body)
            with pytest.raises(ValidationError):
                rule_typed({**body, "enabled": {"no": 1}})
        end = carry(client, found, lambda state: plan(state, aim, datetime.now(UTC)))
        assert (end.refused, len(end.done) > len(sent)) == ((), True)
        oracle: Any = cloudflare.Cloudflare(api_token=TOKEN, base_url=origin, _strict_response_validation=True)
        for phase in zone.rulesets:
            assert all(
                each.ref.startswith("nasos_home_") for each in oracle.rulesets.phases.get(phase, zone_id=zone.id).rules
            )
        oracle.close()


def test_every_change_that_we_ever_make_fits_its_typed_parameters() -> None:
    """All that the operations send: a change without its parameters here fails, and a removal has no body."""
    seen = set()
    for operation in OPERATIONS.values():
        world = World()
        operation.prepare(world)
        with world.client() as client:
            operation.run(client, world)
        for line, body in world.sent:
            where = re.sub(r"(?<=/settings/)\w+$", "", endpoint(line))
            if line.startswith(("GET", "DELETE")):
                assert body == b"", line
                continue
            TYPED[where](json.loads(body))
            seen.add(where)
    assert seen == set(TYPED)


@pytest.mark.parametrize("where", ["POST /zones/*/dns_records/batch", "POST /zones/*/rulesets/*/rules"])
def test_the_typed_parameters_would_say_no(where: str) -> None:
    """To a field of another type, and to one that nobody knows."""
    record = {"name": "a.example.com", "type": "A", "ttl": 1, "content": "203.0.113.7"}
    rule = {"action": "block", "expression": "true", "enabled": True}
    good, bad = (
        ({"posts": [record]}, {"posts": [{**record, "type": "B"}]})
        if "dns" in where
        else (rule, {**rule, "enabled": []})
    )
    TYPED[where](good)
    for wrong in (bad, {**good, "nonsense": 1}):
        with pytest.raises((ValidationError, AssertionError)):
            TYPED[where](wrong)
