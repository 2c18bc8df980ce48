"""Host names: one way of writing each, and which zone one belongs to.

Rules: lower case, no dot at the end, international names as Punycode (as the API has them). A zone holds a name only on
a label's boundary, and the longest zone that holds it has it: ``notexample.com`` and ``example.com.evil.net`` are not
in ``example.com``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from nasos.errors import NameRefused

_LABEL: Final = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def canonical(text: str) -> str:
    """``text`` in the one way of writing it; a first label ``*`` stays.

    Raises:
        NameRefused: It cannot be a host name.
    """
    name = text.strip().lower().removesuffix(".")
    star, _, rest = name.partition(".") if name.startswith("*.") else ("", "", name)
    if not rest.isascii():
        rest = _punycode(rest)
    if not _NAME.fullmatch(rest) or len(rest) > 251 or rest.rpartition(".")[2].isdigit():
        raise NameRefused(f"{text[:80]!r} is no host name", "letters, digits and - between dots")
    return f"{star}.{rest}" if star else rest


def _punycode(name: str) -> str:
    import idna  # few have such names

    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise NameRefused(f"{name[:80]!r} is no host name", "not every letter may stand in one") from None


def same(text: str) -> str:
    """A name of Cloudflare's or somebody's, for comparison: never an error."""
    try:
        return canonical(text)
    except NameRefused:
        return text.strip().lower().removesuffix(".")


def holds(zone: str, name: str) -> bool:
    """Whether a name is the zone's or below it; both canonical."""
    return name == zone or name.endswith(f".{zone}")


def zone_of(name: str, zones: Iterable[str]) -> str | None:
    """The longest of the zones that holds it."""
    return max((zone for zone in zones if holds(zone, name)), key=len, default=None)


@lru_cache(256)  # every container has the same few
def content_of(text: str) -> tuple[str, str]:
    """Record type and content of a target: an address, or a host.

    Raises:
        NameRefused: It is neither.
    """
    try:
        address = ip_address(text.strip())
    except ValueError:
        name = canonical(text)
        if name.startswith("*") or "." not in name:
            raise NameRefused(
                f"{text[:80]!r} is neither an address nor a host", "203.0.113.7, or a whole name"
            ) from None
        return "CNAME", name
    if "%" in str(address):
        raise NameRefused(
            "an address with a zone index means something on one machine only", "leave out what follows %"
        )
    return ("A" if address.version == 4 else "AAAA"), str(address)
