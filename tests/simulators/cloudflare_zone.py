"""The simulated Cloudflare's zone settings and rulesets, within the limits of a Free plan."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulators.cloudflare_words import WHEN, Fields, Refusal, done

if TYPE_CHECKING:
    from simulators.cloudflare import Zone

SETTINGS = {
    "ssl": "full", "min_tls_version": "1.0", "tls_1_3": "on", "0rtt": "off", "always_use_https": "off",
    "automatic_https_rewrites": "on", "opportunistic_encryption": "on", "brotli": "on",
    "security_header": {"strict_transport_security": {
        "enabled": False, "max_age": 0, "include_subdomains": False, "preload": False, "nosniff": False,
    }},
}  # fmt: skip
LIMITS = {"http_request_firewall_custom": 5, "http_ratelimit": 1, "http_request_cache_settings": 10}
"""Rules of a Free zone."""
PAID = ("ddos_l7",)
"""Phases that a Free zone has no rules in."""


def zone_settings(zone: Zone, method: str, rest: list[str], content: Fields) -> Fields:
    """Settings: all, one, another value."""

    def told(name: str) -> Fields:
        value, modified = zone.settings[name], zone.modified.get(name, WHEN)
        return {"id": name, "value": value, "editable": name not in zone.locked, "modified_on": modified}

    if method == "GET" and not rest:
        return done([told(name) for name in zone.settings])
    [name] = rest
    if name not in zone.settings:
        raise Refusal(400, 1003, "Undefined zone setting")
    if method == "PATCH":
        if name in zone.locked:
            raise Refusal(403, 1015, "Not allowed to edit setting")
        if type(content["value"]) is not type(zone.settings[name]):
            raise Refusal(400, 1007, "Invalid value for zone setting")
        zone.settings[name] = content["value"]
        zone.modified.pop(name, None)
    return done(told(name))


def phase_of(zone: Zone, rest: list[str], content: Fields) -> str:
    """Which phase a request is about."""
    if rest[:1] == ["phases"]:
        return rest[1]
    if not rest:
        return str(content.get("phase", ""))
    known = [phase for phase, ruleset in zone.rulesets.items() if ruleset["id"] == rest[0]]
    if not known:
        raise Refusal(404, 10003, "could not find ruleset")
    return known[0]


def zone_rulesets(  # noqa: PLR0917  a request, and the zone
    zone: Zone, phase: str, method: str, rest: list[str], content: Fields, ids: Iterator[int]
) -> Fields:
    """Rules of one phase: look, make the first, make, change and remove one, replace all."""
    ruleset = zone.rulesets.get(phase)
    match (method, rest):
        case ("GET", ["phases", _, "entrypoint"]):
            if ruleset is None:
                raise Refusal(404, 10003, f"could not find entrypoint ruleset in the {phase} phase")
            return done(ruleset)
        case ("POST", []):
            if ruleset is not None:
                raise Refusal(
                    400,
                    20217,
                    "'zone' is not a valid value for kind because exceeded maximum number of zone rulesets for phase",
                )
            return done(put_rules(zone, phase, content["rules"], ids))
        case ("PUT", ["phases", _, "entrypoint"]):
            return done(put_rules(zone, phase, content["rules"], ids))
    assert ruleset is not None
    rules: list[Fields] = copy.deepcopy(ruleset["rules"])
    match (method, rest[1:]):
        case ("POST", ["rules"]):
            rules.append(content)
        case ("PATCH", ["rules", known]):
            rules = [{**content, "id": known} if rule["id"] == known else rule for rule in rules]
        case ("DELETE", ["rules", known]):
            rules = [rule for rule in rules if rule["id"] != known]
    return done(put_rules(zone, phase, rules, ids))


def put_rules(zone: Zone, phase: str, rules: list[Fields], ids: Iterator[int]) -> Fields:
    """All rules of a phase, as Cloudflare keeps them."""
    if zone.plan == "free" and phase in PAID:
        raise Refusal(403, 20120, "not entitled to deploy rules in this phase")
    if zone.plan == "free" and len(rules) > LIMITS.get(phase, 1000):
        raise Refusal(400, 20120, f"exceeded maximum number of rules in the phase {phase}")
    whole_rules = []
    for rule in rules:
        if not isinstance(rule.get("expression"), str) or rule["expression"].count("(") != rule["expression"].count(
            ")"
        ):
            raise Refusal(400, 20127, "could not parse the expression")
        if (
            zone.plan == "free"
            and phase == "http_ratelimit"
            and ("http.host" in rule["expression"] or rule["ratelimit"]["period"] != 10)
        ):
            raise Refusal(400, 20120, "not entitled to use the field http.host")
        known = rule.get("id") or f"{next(ids):032x}"
        whole_rules.append({
            "enabled": True, "version": "1", "last_updated": WHEN, **rule, "id": known, "ref": rule.get("ref") or known
        })  # fmt: skip
    if len({rule["ref"] for rule in whole_rules}) != len(whole_rules):
        raise Refusal(400, 20100, "the ref of a rule must be unique in its ruleset")
    old = zone.rulesets.get(phase, {"id": f"{next(ids):032x}", "version": "0"})
    zone.rulesets[phase] = {
        "id": old["id"], "name": "default", "description": "", "kind": "zone", "phase": phase,
        "version": str(int(old["version"]) + 1), "last_updated": WHEN, "rules": whole_rules,
    }  # fmt: skip
    return zone.rulesets[phase]
