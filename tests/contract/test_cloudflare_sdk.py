"""The official SDK, strict about every answer, takes the simulated Cloudflare for the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cloudflare
import pytest
from cloudflare.types.dns.batch_patch_param import BatchPatchParam
from cloudflare.types.dns.record_batch_params import Post, RecordBatchParams
from pydantic import TypeAdapter, ValidationError

from nasos.cloudflare.answers import Record
from nasos.cloudflare.client import Client
from nasos.cloudflare.dns import records_of, send_batch, zone_by_id
from nasos.cloudflare.labels import Wanted
from nasos.cloudflare.ownership import Owner
from nasos.cloudflare.plan import Change
from nasos.secret import Secret
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
