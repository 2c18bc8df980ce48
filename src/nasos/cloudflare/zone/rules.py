"""Our rules in each phase of a zone, within what its plan includes; pure.

Rules: ours are marked by ``ref`` and made for our own hosts; a rule without our mark is never changed, moved or counted
as ours. Each is made, changed and removed by itself (never by replacing the list), so that others keep their rules,
byte for byte and in their order, also when somebody is at work meanwhile. What does not fit is said. Limits: what
Cloudflare's documentation says of the Free plan (5 custom rules; one rate limit, of 10 s, by address, on paths only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from nasos.cloudflare.zone.settings import Note

MANAGED: Final = "http_request_firewall_managed"
CUSTOM: Final = "http_request_firewall_custom"
RATE: Final = "http_ratelimit"
DDOS: Final = "ddos_l7"
CACHE: Final = "http_request_cache_settings"
PHASES: Final = (MANAGED, CUSTOM, RATE, DDOS, CACHE)

FREE_MANAGED: Final = "77454fe2d30c4220b5701f6fdfb893ba"
MANAGED_RULESET: Final = "efb7b8c949ac4650a09736fc376e9aee"
DDOS_RULESET: Final = "4d21379b4f9f4bb088e0729962c8b3cf"
"""Cloudflare's own rulesets, the same in every account (its documentation of each)."""

FREE_LIMITS: Final[Mapping[str, int]] = {CUSTOM: 5, RATE: 1, CACHE: 10}

GUESSED: Final = ("/auth/login", "/auth/token", "/api/v1/token/login")
"""Where a credential can be tried."""
UNTYPED: Final = ("TRACE", "CONNECT", "OPTIONS", "PUT")


class Rule(msgspec.Struct, frozen=True):
    """A rule as Cloudflare tells it; of others' rules we look at no more than this."""

    id: str = ""
    ref: str = ""
    action: str = ""
    expression: str = ""
    description: str = ""
    enabled: bool = True
    action_parameters: dict[str, object] = {}
    ratelimit: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rule as we want it."""

    phase: str
    name: str
    """What tells it from our others."""
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule to be made (no ``rule``), changed, or removed (no ``body``)."""

    phase: str
    ruleset: str
    """Where it goes; empty: the phase has none yet."""
    name: str
    rule: Rule | None
    body: Mapping[str, object] | None

    @property
    def what(self) -> str:
        """For people."""
        return f"rule {self.name} in {self.phase}"


def mark(owner: str) -> str:
    """What the ``ref`` of our rules begins with."""
    return f"nasos_{owner}_"


def wanted(hosts: Sequence[str], plan: str) -> tuple[list[Wanted], list[Note]]:
    """What a zone of this plan is to hold for these hosts, and what its plan does not include."""
    free = plan in ("free", "")
    notes = []
    if free:
        notes.append(Note("Cloudflare's full managed ruleset", "not part of the Free plan; its Free ruleset is used"))
        notes.append(Note("DDoS override", "not part of the Free plan; the protection itself is always on there"))
    rules = [_managed(free=free), *([] if free else [_ddos()])]
    if not hosts:
        notes.append(Note("rules for our hosts", "no name of hosts under [tls] is in this zone", wrong=True))
        return rules, notes
    ours = _hosts(hosts)
    return [*rules, *_custom(ours), _rate("" if free else ours), *_cache(ours)], notes


def _hosts(hosts: Sequence[str]) -> str:
    return "http.host in {" + " ".join(f'"{host}"' for host in sorted(hosts)) + "}"


def _any(field: str, values: Sequence[str]) -> str:
    return f"{field} in {{" + " ".join(f'"{value}"' for value in values) + "}"


def _managed(*, free: bool) -> Wanted:
    known = FREE_MANAGED if free else MANAGED_RULESET
    return Wanted(MANAGED, "managed", {"expression": "true", "action": "execute", "action_parameters": {"id": known}})


def _ddos() -> Wanted:
    parameters = {"id": DDOS_RULESET, "overrides": {"sensitivity_level": "default"}}
    return Wanted(DDOS, "ddos", {"expression": "true", "action": "execute", "action_parameters": parameters})


def _custom(ours: str) -> list[Wanted]:
    path = "http.request.uri.path"
    hidden = f'(starts_with({path}, "/.") and not starts_with({path}, "/.well-known/"))'
    foreign = f'ends_with({path}, ".php") or starts_with({path}, "/wp-")'
    return [
        Wanted(CUSTOM, "methods", _block(f"{ours} and {_any('http.request.method', UNTYPED)}")),
        Wanted(CUSTOM, "probes", _block(f"{ours} and ({hidden} or {foreign})")),
    ]


def _block(expression: str) -> dict[str, object]:
    return {"expression": f"({expression})", "action": "block"}


def _rate(ours: str) -> Wanted:
    # A Free plan's rule may look at paths only; the gateway's own limit is the one that counts each login.
    paths = _any("http.request.uri.path", GUESSED)
    limit = {
        "characteristics": ["cf.colo.id", "ip.src"], "period": 10, "requests_per_period": 20, "mitigation_timeout": 10
    }  # fmt: skip
    return Wanted(RATE, "logins", {**_block(f"{ours} and {paths}" if ours else paths), "ratelimit": limit})


def _cache(ours: str) -> list[Wanted]:
    def rule(expression: str, parameters: Mapping[str, object]) -> dict[str, object]:
        whole = f"({ours} and ({expression}))"
        return {"expression": whole, "action": "set_cache_settings", "action_parameters": parameters}

    path = "http.request.uri.path"
    private = " or ".join(f'starts_with({path}, "{prefix}")' for prefix in ("/api/", "/auth/", "/.well-known/"))
    # Only what was found is kept: a refusal of today must not be tomorrow's page.
    times = {
        "mode": "override_origin", "default": 7200,
        "status_code_ttl": [{"status_code_range": {"from": 300, "to": 599}, "value": -1}],
    }  # fmt: skip
    return [
        Wanted(CACHE, "private", rule(private, {"cache": False})),
        Wanted(CACHE, "assets", rule(f'starts_with({path}, "/assets/")', {"cache": True, "edge_ttl": times})),
    ]


def changes(  # noqa: PLR0913  the zone's facts, by name
    phase: str, *, ruleset: str, found: Sequence[Rule], rules: Sequence[Wanted], owner: str, plan: str
) -> tuple[list[RuleChange], list[Note]]:
    """What is to be done in one phase."""
    ours = {rule.ref: rule for rule in found if rule.ref.startswith(mark(owner))}
    foreign = [rule for rule in found if rule.ref not in ours]
    done: list[RuleChange] = []
    notes = [_weakened(rule) for rule in foreign if phase == DDOS and _lowers(rule)]
    room = FREE_LIMITS.get(phase, 1000) - len(foreign) if plan in ("free", "") else 1000
    kept = 0
    for each in rules:
        mine = ours.pop(mark(owner) + each.name, None)
        if any(_does_the_same(rule, each) for rule in foreign):
            done += [RuleChange(phase, ruleset, each.name, mine, None)] if mine else []
        elif kept >= room:
            notes.append(Note(f"rule {each.name} in {phase}", f"no room: {_limit(phase, len(foreign))}", wrong=True))
        else:
            kept += 1
            body = {**each.body, "ref": mark(owner) + each.name, "description": f"nasos: {each.name}", "enabled": True}
            if mine is None or not _holds(msgspec.to_builtins(mine), body):
                done.append(RuleChange(phase, ruleset, each.name, mine, body))
    gone = [RuleChange(phase, ruleset, ref.removeprefix(mark(owner)), rule, None) for ref, rule in ours.items()]
    # What goes makes room for what comes.
    return [*gone, *sorted(done, key=lambda change: change.body is not None)], notes


def _limit(phase: str, others: int) -> str:
    return f"the plan has {FREE_LIMITS[phase]} rules there, and {others} are somebody else's"


def _does_the_same(rule: Rule, each: Wanted) -> bool:
    """Somebody else has the same ruleset executed for everything."""
    if each.body["action"] != "execute" or rule.action != "execute" or not rule.enabled or rule.expression != "true":
        return False
    parameters = each.body["action_parameters"]
    same = isinstance(parameters, Mapping) and rule.action_parameters.get("id") == parameters["id"]
    return same and "overrides" not in rule.action_parameters


def _lowers(rule: Rule) -> bool:
    overrides = rule.action_parameters.get("overrides")
    return rule.enabled and overrides is not None and '"default"' not in str(overrides).replace("'", '"')


def _weakened(rule: Rule) -> Note:
    return Note(
        f"rule {rule.description or rule.id} in {DDOS}", "somebody else's override of the DDoS protection; look at it"
    )


def _holds(found: object, body: object) -> bool:
    """Whether all of ``body`` is in ``found``; what Cloudflare adds by itself is no difference."""
    if isinstance(body, Mapping):
        return isinstance(found, Mapping) and all(key in found and _holds(found[key], body[key]) for key in body)
    return found == body
