"""What the simulated Cloudflare answers to questions that no token of ours should be able to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulators.cloudflare_words import WHEN, Fields, Refusal, done, page

TOKENS: list[Fields] = [{"id": "d" * 32, "name": "ours", "status": "active", "issued_on": WHEN, "policies": []}]
RULE: Fields = {
    "id": "92f17202ed8bd63d69a66b86a49a8f6b", "mode": "block", "notes": "", "allowed_modes": ["block"],
    "configuration": {"target": "ip", "value": "198.51.100.4"}, "scope": {"type": "user"},
    "created_on": WHEN, "modified_on": WHEN,
}  # fmt: skip
USER: Fields = {"id": "b" * 32, "first_name": None, "last_name": None, "organizations": []}
ROUTE: Fields = {"id": "c" * 32, "pattern": "example.com/*", "script": "front"}

BESIDE: Mapping[tuple[str, ...], tuple[str, list[Fields] | Fields, bool]] = {
    ("pagerules",): ("pages", [], False),
    ("firewall", "access_rules", "rules"): ("firewall", [RULE], True),
    ("workers", "routes"): ("routes", [ROUTE], False),
    ("workers", "scripts"): ("workers", [{"id": "front", "created_on": WHEN}], False),
    ("members",): ("account", [], True),
    ("user",): ("user", USER, False),
    ("user", "tokens"): ("tokens", TOKENS, True),
}
"""The end of the path -> the permission, the result, whether it comes in pages."""


def right(name: str, method: str) -> str:
    """The permission that a request needs."""
    return f"{name}:{'read' if method == 'GET' else 'edit'}"


def right_beside(parts: Sequence[str]) -> str:
    """The permission of one of these questions."""
    return f"{_entry(parts)[0]}:read"


def beside(parts: Sequence[str], query: Mapping[str, str]) -> Fields:
    """Its answer."""
    _, result, paged = _entry(parts)
    return page(result, query) if paged and isinstance(result, list) else done(result)


def _entry(parts: Sequence[str]) -> tuple[str, list[Fields] | Fields, bool]:
    end = tuple(parts[2:]) if parts[0] == "accounts" else tuple(parts)
    if end not in BESIDE:
        raise Refusal(404, 7003, "Could not route to the path, perhaps your object identifier is invalid?")
    return BESIDE[end]
