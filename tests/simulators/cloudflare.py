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
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from simulators.cloudflare_origin import OriginAuthority, zone_pulls
from simulators.cloudflare_words import WHEN, Fields, Refusal, Reply, done, failure, page
from simulators.cloudflare_zone import SETTINGS, phase_of, zone_rulesets, zone_settings

__all__ = ["ALL", "BROKEN", "HTML", "Cloudflare", "Refusal", "Reply", "Token", "Zone", "busy", "failing", "failure"]

ADDRESSES = ("A", "AAAA", "CNAME")
TYPES = (*ADDRESSES, "TXT", "MX", "NS", "CAA", "SRV")
ALL = frozenset({
    "dns:read", "dns:edit", "zone:read", "settings:edit", "waf:edit", "cache:edit", "ddos:edit", "ssl:edit"
})  # fmt: skip

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
        if path == "/user/tokens/verify":
            return done({"id": "ed17574386854bf78a67040be0a770b0", "status": token.status})
        parts = path.strip("/").split("/")
        if parts == ["zones"]:
            seen = [zone for zone in self.zones.values() if token.zones is None or zone.id in token.zones]
            named = [described(zone, token) for zone in seen if query.get("name", zone.name) == zone.name]
            return page(named, query)
        content = json.loads(body or b"{}")
        if parts[0] == "certificates":
            self._require(token, "ssl:edit")
            return self.origin.handle(method, parts[1:], query, content)
        zone = self._zone(parts[1] if parts[0] == "zones" else "", token)
        match (method, parts[2:]):
            case ("GET", []):
                self._require(token, "zone:read", "dns:read")
                return done(described(zone, token))
            case (_, ["settings", *rest]):
                self._require(token, "settings:edit")
                return zone_settings(zone, method, rest, content)
            case (_, ["origin_tls_client_auth", *rest]):
                self._require(token, "ssl:edit")
                return zone_pulls(zone, method, rest, content, self.ids)
            case (_, ["rulesets", *rest]):
                phase = phase_of(zone, rest, content)
                self._require(
                    token, {"http_request_cache_settings": "cache:edit", "ddos_l7": "ddos:edit"}.get(phase, "waf:edit")
                )
                return zone_rulesets(zone, phase, method, rest, content, self.ids)
            case (_, ["dns_records", *rest]):
                self._require(token, "dns:edit", *(["dns:read"] if method == "GET" else []))
                return self._dns(zone, method, rest, query, content)
        raise Refusal(404, 7003, "Could not route to the path, perhaps your object identifier is invalid?")

    def _dns(self, zone: Zone, method: str, rest: list[str], query: Mapping[str, str], content: Fields) -> Fields:
        match (method, rest):
            case ("GET", []):
                return page([record for record in zone.records.values() if fits(record, query)], query)
            case ("GET", [known]):
                return done(found(zone, known))
            case ("POST", []):
                return done(self._create(zone, content))
            case ("POST", ["batch"]):
                return done(self._batch(zone, content))
            case ("PUT" | "PATCH", [known]):
                return done(self._update(zone, known, content, anew=method == "PUT"))
            case ("DELETE", [known]):
                found(zone, known)
                del zone.records[known]
                return done({"id": known})
        raise Refusal(405, 10405, "Method not allowed for this authentication scheme")

    def _batch(self, zone: Zone, content: Fields) -> Fields:
        operations = sum(len(content.get(kind, ())) for kind in ("deletes", "patches", "puts", "posts"))
        if operations > (200 if zone.plan == "free" else 3500):
            raise Refusal(400, 1004, "DNS Validation Error: too many operations in the batch")
        before = copy.deepcopy(zone.records)
        try:
            gone = [found(zone, each["id"]) for each in content.get("deletes", ())]
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
        record = whole(zone, f"{next(self.ids):032x}", content)
        require_alone(zone, record)
        zone.records[record["id"]] = record
        return record

    def _update(self, zone: Zone, known: str, content: Fields, *, anew: bool) -> Fields:
        old = found(zone, known)
        kept = (
            {} if anew else {key: old[key] for key in ("name", "type", "content", "ttl", "proxied", "comment", "tags")}
        )
        record = whole(zone, known, {**kept, **content})
        require_alone(zone, record)
        zone.records[known] = record
        return record

    def _token(self, bearer: str, *, verify: bool) -> Token:
        if not re.fullmatch(r"Bearer [\x21-\x7e]+", bearer):
            raise Refusal(400, 6003, "Invalid request headers")
        known = [token for token in self.tokens if f"Bearer {token.value}" == bearer]
        if not known:
            raise Refusal(401, 1000, "Invalid API Token") if verify else Refusal(403, 9109, "Invalid access token")
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
        if not token.permissions & set(one_of):
            raise Refusal(403, 10000, "Authentication error")


def fits(record: Fields, query: Mapping[str, str]) -> bool:
    """Whether a record passes the list's filters."""
    tests: Mapping[str, Callable[[str, str], bool]] = {
        "exact": str.__eq__, "contains": str.__contains__, "startswith": str.startswith, "endswith": str.endswith,
    }  # fmt: skip
    for key, value in query.items():
        name, _, how = key.partition(".")
        if name in ("name", "comment", "content") and how in tests:
            if not tests[how]((record[name] or "").lower(), value.lower()):
                return False
        elif key in ("type", "name", "content") and record[key] != value:
            return False
    return True


def found(zone: Zone, known: str) -> Fields:
    """A record by its ID."""
    if known not in zone.records:
        raise Refusal(404, 81044, "Record does not exist.")
    return zone.records[known]


def whole(zone: Zone, known: str, content: Fields) -> Fields:
    """A record as Cloudflare keeps it, from what was asked for."""
    name = str(content.get("name", "")).lower().rstrip(".")
    if name in ("", "@"):
        name = zone.name
    if name != zone.name and not name.endswith(f".{zone.name}"):
        name = f"{name}.{zone.name}"
    kind, value, proxied = content.get("type"), str(content.get("content", "")), bool(content.get("proxied", False))
    if kind not in TYPES or not name.isascii() or len(name) > 253:
        raise Refusal(400, 1004, "DNS Validation Error")
    if len(content.get("comment") or "") > 100:
        raise Refusal(400, 1004, "DNS Validation Error: comment is too long")
    ttl = content.get("ttl", 1)
    if not isinstance(ttl, int) or (ttl != 1 and not 60 <= ttl <= 86400):
        raise Refusal(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
    return {
        "id": known, "name": name, "type": kind, "content": normal(kind, value, proxied=proxied),
        "proxiable": kind in ADDRESSES, "proxied": proxied, "ttl": 1 if proxied else ttl, "settings": {}, "meta": {},
        "comment": content.get("comment") or None, "tags": content.get("tags", []),
        "created_on": WHEN, "modified_on": WHEN,
    }  # fmt: skip


def normal(kind: str, value: str, *, proxied: bool) -> str:
    """A record's content as Cloudflare keeps it."""
    if proxied and kind not in ADDRESSES:
        raise Refusal(400, 9004, "This record type cannot be proxied.")
    if kind in ("A", "AAAA"):
        wanted, code = (IPv4Address, 9005) if kind == "A" else (IPv6Address, 9006)
        try:
            address = wanted(value)
        except ValueError:
            raise Refusal(400, code, f"Content for {kind} record is invalid.") from None
        if (
            proxied
            and not ip_address(address).is_global
            and not str(address).startswith(("203.0.113.", "198.51.100.", "2001:db8:"))
        ):
            raise Refusal(400, 9003, "Target is not allowed for a proxied record.")
        return str(address)
    if kind == "CNAME" and not re.fullmatch(r"[A-Za-z0-9_.-]+", value):
        raise Refusal(400, 9007, "Content for CNAME record is invalid.")
    return value.lower().rstrip(".") if kind == "CNAME" else value


def require_alone(zone: Zone, record: Fields) -> None:
    """No twin, and no alias beside an address."""
    for other in zone.records.values():
        if other["id"] == record["id"] or other["name"] != record["name"]:
            continue
        if (other["type"], other["content"]) == (record["type"], record["content"]):
            raise Refusal(400, 81058, "An identical record already exists.")
        pair = {other["type"], record["type"]}
        if "CNAME" in pair and pair <= set(ADDRESSES):
            raise Refusal(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")


def described(zone: Zone, token: Token) -> Fields:
    """A zone as Cloudflare shows it."""
    rights = [f"#dns_records:{right}" for right in ("read", "edit") if f"dns:{right}" in token.permissions]
    return {
        "id": zone.id, "name": zone.name, "status": zone.status, "paused": False, "type": "full",
        "development_mode": 0, "name_servers": ["ada.ns.example", "bob.ns.example"], "permissions": rights,
        "account": {"id": "a" * 32, "name": "ours"}, "meta": {"step": 4}, "created_on": WHEN, "modified_on": WHEN,
        "owner": {"id": "b" * 32, "name": "us", "type": "user"},
        "plan": {"id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "legacy_id": zone.plan, "name": zone.plan},
    }  # fmt: skip
