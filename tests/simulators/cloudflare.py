"""Cloudflare's API as far as we use it, with state: zones, DNS records, batches, tokens, settings, address ranges.

What it says is held to the official SDK's types by tests/contract/test_cloudflare_sdk.py. `fail_next` has the next
request that fits fail before or after it is carried out.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simulators.cloudflare_beside import BESIDE, beside, right, right_beside
from simulators.cloudflare_origin import OriginAuthority, zone_pulls
from simulators.cloudflare_records import fits, found, require_alone, whole
from simulators.cloudflare_words import WHEN, Fields, Refusal, Reply, done, failure, page
from simulators.cloudflare_zone import SETTINGS, phase_of, zone_rulesets, zone_settings

__all__ = ["ALL", "BROKEN", "HTML", "Cloudflare", "Refusal", "Reply", "Token", "Zone", "busy", "failing", "failure"]

ALL = frozenset({
    "dns:read", "dns:edit", "zone:read", "settings:edit", "waf:edit", "cache:edit", "ddos:edit", "ssl:edit"
})  # fmt: skip

OF_PHASE = {"http_request_cache_settings": "cache", "ddos_l7": "ddos", "http_request_dynamic_redirect": "redirect"}
TOLD = {"dns": "dns_records", "zone": "zone", "settings": "zone_settings", "waf": "waf", "ssl": "ssl"}
"""What a zone's `permissions` call it."""
BROKEN = Reply(0)
HTML = Reply(200, raw=b"<html><body>Please log in to the network</body></html>")


def busy(after: str) -> Reply:
    """Too many requests."""
    return Reply(429, failure((10100, "Rate limited")), {"retry-after": after})


def failing(status: int) -> Reply:
    """An error of Cloudflare's own."""
    return Reply(status, raw=b"error code: %d" % status)


@dataclass
class Token:
    """An API token."""

    value: str
    permissions: frozenset[str] = ALL
    zones: frozenset[str] | None = None
    """Zone IDs; None: all."""
    status: str = "active"
    expires_on: str | None = None
    account: bool = False
    """It is an account's own, not a user's."""

    def may(self, right: str) -> bool:
        """Whoever may edit may read."""
        return bool(self.permissions & {right, right.replace(":read", ":edit")})


@dataclass
class Zone:
    """One zone and its records."""

    id: str
    name: str
    plan: str = "free"
    status: str = "active"
    records: dict[str, Fields] = field(default_factory=dict)
    settings: Fields = field(default_factory=lambda: copy.deepcopy(SETTINGS))
    modified: dict[str, str] = field(default_factory=dict)
    """When a setting was changed, where that was not long ago."""
    locked: frozenset[str] = frozenset()
    """Settings that the plan does not allow to change."""
    rulesets: dict[str, Fields] = field(default_factory=dict)
    """By phase."""
    pulls: dict[str, Fields] = field(default_factory=dict)
    """Client certificates for authenticated origin pulls, with their keys."""
    pulls_on: bool = False
    looks: int = 2
    """At which a client certificate is seen to be deployed."""

    @property
    def limit(self) -> int:
        """Of records on a Free zone made since 2024-09-01; else Pro's."""
        return 200 if self.plan == "free" else 3500


@dataclass
class Fault:
    """What happens instead of, or after, a request."""

    pattern: str
    reply: Reply
    after: bool
    times: int


@dataclass
class Cloudflare:
    """All of it."""

    tokens: list[Token] = field(default_factory=lambda: [Token("t" * 40)])
    zones: dict[str, Zone] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` of every one that came."""
    bodies: list[bytes] = field(default_factory=list)
    """What the last ones brought."""
    between: Callable[[], None] | None = None
    """Called after every request: somebody else is at work, too."""
    ids: Iterator[int] = field(default_factory=itertools.count)
    ipv4: list[str] = field(default_factory=lambda: ["173.245.48.0/20", "103.21.244.0/22"])
    ipv6: list[str] = field(default_factory=lambda: ["2400:cb00::/32", "2606:4700::/32"])
    """Its own addresses."""

    @cached_property
    def origin(self) -> OriginAuthority:
        """The Origin CA; few tests want it."""
        return OriginAuthority()

    def add_zone(self, name: str, **more: Any) -> Zone:
        """A new zone."""
        zone = Zone(f"{next(self.ids):032x}", name, **more)
        self.zones[zone.id] = zone
        return zone

    def add(self, zone: Zone, type_: str, name: str, content: str, **more: Any) -> Fields:
        """Somebody makes a record by hand."""
        return self._create(zone, {"type": type_, "name": name, "content": content, "ttl": 1, **more})

    def fail_next(self, pattern: str, reply: Reply, *, after: bool = False, times: int = 1) -> None:
        """Let requests like ``POST .*batch`` fail, before or after they are carried out."""
        self.faults.append(Fault(pattern, reply, after, times))

    @property
    def changes(self) -> list[str]:
        """Requests that were meant to change something."""
        return [request for request in self.requests if not request.startswith("GET")]

    def handle(self, method: str, path: str, query: Mapping[str, str], bearer: str, body: bytes) -> Reply:
        """Answer one request."""
        line = f"{method} {path}"
        self.requests.append(line)
        self.bodies = [*self.bodies[-9:], body]
        fault = next((each for each in self.faults if re.fullmatch(each.pattern, line)), None)
        if fault:
            fault.times -= 1
            if fault.times <= 0:
                self.faults.remove(fault)
            if not fault.after:
                return fault.reply
        try:
            reply = Reply(200, self._answer(method, path, query, bearer, body))
        except Refusal as refusal:
            reply = refusal.reply
        if self.between:
            self.between()
        return fault.reply if fault else reply

    def _answer(self, method: str, path: str, query: Mapping[str, str], bearer: str, body: bytes) -> Fields:
        if path == "/ips":
            return done({"ipv4_cidrs": self.ipv4, "ipv6_cidrs": self.ipv6, "etag": "38f79d05"})
        token = self._token(bearer, verify=path == "/user/tokens/verify")
        parts = path.strip("/").split("/")
        if path == "/user/tokens/verify" or (parts[0] == "accounts" and parts[2:] == ["tokens", "verify"]):
            ends = {} if token.expires_on is None else {"expires_on": token.expires_on}
            return done({"id": "ed17574386854bf78a67040be0a770b0", "status": token.status, **ends})
        if parts[0] in {"user", "accounts"}:
            self._require(token, right_beside(parts))
            return beside(parts, query)
        if parts == ["zones"]:
            seen = [zone for zone in self.zones.values() if token.zones is None or zone.id in token.zones]
            named = [described(zone, token) for zone in seen if query.get("name", zone.name) == zone.name]
            return page(named, query)
        content = json.loads(body or b"{}")
        if parts[0] == "certificates":
            self._require(token, right("ssl", method))
            return self.origin.handle(method, parts[1:], query, content)
        return self._of_zone(method, parts, query, token, content)

    def _of_zone(
        self, method: str, parts: list[str], query: Mapping[str, str], token: Token, content: Fields
    ) -> Fields:
        zone = self._zone(parts[1] if parts[0] == "zones" else "", token)
        match (method, parts[2:]):
            case ("GET", []):
                self._require(token, "zone:read", "dns:read")
                return done(described(zone, token))
            case (_, ["settings", *rest]):
                self._require(token, right("settings", method))
                return zone_settings(zone, method, rest, content)
            case (_, ["origin_tls_client_auth", *rest]):
                self._require(token, right("ssl", method))
                return zone_pulls(zone, method, rest, content, self.ids)
            case (_, ["rulesets", *rest]):
                phase = phase_of(zone, rest, content)
                self._require(token, right(OF_PHASE.get(phase, "waf"), method))
                return zone_rulesets(zone, phase, method, rest, content, self.ids)
            case (_, ["dns_records", *rest]):
                self._require(token, right("dns", method))
                return self._dns(zone, method, rest, query, content)
            case ("GET", rest) if tuple(rest) in BESIDE:
                self._require(token, right_beside(rest))
                return beside(rest, query)
        raise Refusal(404, 7003, "Could not route to the path, perhaps your object identifier is invalid?")

    def _dns(self, zone: Zone, method: str, rest: list[str], query: Mapping[str, str], content: Fields) -> Fields:
        match (method, rest):
            case ("GET", []):
                return page([record for record in zone.records.values() if fits(record, query)], query)
            case ("GET", [known]):
                return done(found(zone.records, known))
            case ("POST", []):
                return done(self._create(zone, content))
            case ("POST", ["batch"]):
                return done(self._batch(zone, content))
            case ("PUT" | "PATCH", [known]):
                return done(self._update(zone, known, content, anew=method == "PUT"))
            case ("DELETE", [known]):
                found(zone.records, known)
                del zone.records[known]
                return done({"id": known})
        raise Refusal(405, 10405, "Method not allowed for this authentication scheme")

    def _batch(self, zone: Zone, content: Fields) -> Fields:
        operations = sum(len(content.get(kind, ())) for kind in ("deletes", "patches", "puts", "posts"))
        if operations > (200 if zone.plan == "free" else 3500):
            raise Refusal(400, 1004, "DNS Validation Error: too many operations in the batch")
        before = copy.deepcopy(zone.records)
        try:
            gone = [found(zone.records, each["id"]) for each in content.get("deletes", ())]
            for each in gone:
                del zone.records[each["id"]]
            patched = [self._update(zone, each["id"], each, anew=False) for each in content.get("patches", ())]
            put = [self._update(zone, each["id"], each, anew=True) for each in content.get("puts", ())]
            made = [self._create(zone, each) for each in content.get("posts", ())]
        except (Refusal, KeyError):
            zone.records = before
            raise
        return {"deletes": gone, "patches": patched, "puts": put, "posts": made}

    def _create(self, zone: Zone, content: Fields) -> Fields:
        if len(zone.records) >= zone.limit:
            raise Refusal(400, 81045, "Record quota exceeded.")
        record = whole(zone.name, f"{next(self.ids):032x}", content)
        require_alone(zone.records, record)
        zone.records[record["id"]] = record
        return record

    def _update(self, zone: Zone, known: str, content: Fields, *, anew: bool) -> Fields:
        old = found(zone.records, known)
        kept = (
            {} if anew else {key: old[key] for key in ("name", "type", "content", "ttl", "proxied", "comment", "tags")}
        )
        record = whole(zone.name, known, {**kept, **content})
        require_alone(zone.records, record)
        zone.records[known] = record
        return record

    def _token(self, bearer: str, *, verify: bool) -> Token:
        if not re.fullmatch(r"Bearer [\x21-\x7e]+", bearer):
            raise Refusal(400, 6003, "Invalid request headers")
        known = [token for token in self.tokens if f"Bearer {token.value}" == bearer]
        if not known:
            raise Refusal(401, 1000, "Invalid API Token") if verify else Refusal(403, 9109, "Invalid access token")
        if known[0].account and verify:
            raise Refusal(401, 1000, "Invalid API Token")
        if known[0].status != "active" and not verify:
            raise Refusal(403, 9109, "Invalid access token")
        return known[0]

    def _zone(self, known: str, token: Token) -> Zone:
        if token.zones is not None and known not in token.zones:
            raise Refusal(403, 9109, "Unauthorized to access requested resource")
        if known not in self.zones:
            raise Refusal(404, 7003, "Could not route to /zones, perhaps your object identifier is invalid?")
        return self.zones[known]

    def _require(self, token: Token, *one_of: str) -> None:
        if not any(map(token.may, one_of)):
            raise Refusal(403, 10000, "Authentication error")


def described(zone: Zone, token: Token) -> Fields:
    """A zone as Cloudflare shows it."""
    rights = [f"#{told}:{how}" for name, told in TOLD.items() for how in ("read", "edit") if token.may(f"{name}:{how}")]
    return {
        "id": zone.id, "name": zone.name, "status": zone.status, "paused": False, "type": "full",
        "development_mode": 0, "name_servers": ["ada.ns.example", "bob.ns.example"], "permissions": rights,
        "account": {"id": "a" * 32, "name": "ours"}, "meta": {"step": 4}, "created_on": WHEN, "modified_on": WHEN,
        "owner": {"id": "b" * 32, "name": "us", "type": "user"},
        "plan": {"id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "legacy_id": zone.plan, "name": zone.plan},
    }  # fmt: skip
