"""DNS records as Cloudflare keeps them, and what it says no to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from simulators.cloudflare_words import WHEN, Fields, Refusal

ADDRESSES = ("A", "AAAA", "CNAME")
TYPES = (*ADDRESSES, "TXT", "MX", "NS", "CAA", "SRV")


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


def found(records: Mapping[str, Fields], known: str) -> Fields:
    """A record by its ID."""
    if known not in records:
        raise Refusal(404, 81044, "Record does not exist.")
    return records[known]


def whole(zone: str, known: str, content: Fields) -> Fields:
    """A record of the zone of this name as Cloudflare keeps it, from what was asked for."""
    name = str(content.get("name", "")).lower().rstrip(".")
    if name in ("", "@"):
        name = zone
    if name != zone and not name.endswith(f".{zone}"):
        name = f"{name}.{zone}"
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


def require_alone(records: Mapping[str, Fields], record: Fields) -> None:
    """No twin, and no alias beside an address."""
    for other in records.values():
        if other["id"] == record["id"] or other["name"] != record["name"]:
            continue
        if (other["type"], other["content"]) == (record["type"], record["content"]):
            raise Refusal(400, 81058, "An identical record already exists.")
        pair = {other["type"], record["type"]}
        if "CNAME" in pair and pair <= set(ADDRESSES):
            raise Refusal(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")
