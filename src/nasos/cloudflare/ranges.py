"""Cloudflare's own addresses, and when a new list of them is believed; pure but for `fetched`.

Rules: the list decides who may speak to the edge, so that a wrong one either opens it or closes it. Never empty, never
a network that is larger than any of Cloudflare's could be (everybody), and at least three quarters of the addresses
known before are still in it: Cloudflare adds, and hardly ever takes away. What is not believed changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

import msgspec

from nasos.cloudflare.client import Client
from nasos.errors import CloudflareUnreachable

KEPT: Final = Fraction(3, 4)
"""Part of the addresses known before that a new list has to hold."""
LARGEST: Final = {4: 8, 6: 16}
"""Shortest prefix that is believed, by version; Cloudflare's largest are a /12 and a /29."""


class Ranges(msgspec.Struct, frozen=True):
    """``GET /ips``."""

    ipv4_cidrs: tuple[IPv4Network, ...]
    ipv6_cidrs: tuple[IPv6Network, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them, as nginx writes them."""
        return tuple(map(str, (*self.ipv4_cidrs, *self.ipv6_cidrs)))


class _Told(msgspec.Struct, frozen=True):
    ipv4_cidrs: tuple[str, ...]
    ipv6_cidrs: tuple[str, ...]


def fetched(client: Client) -> Ranges:
    """What Cloudflare says now.

    Raises:
        CloudflareUnreachable: It says what cannot be a list of networks.
    """
    told = client.read("/ips", _Told)
    return parsed(told.ipv4_cidrs, told.ipv6_cidrs)


def parsed(ipv4: Sequence[str], ipv6: Sequence[str]) -> Ranges:
    """Networks from texts.

    Raises:
        CloudflareUnreachable: One of them is none.
    """
    try:
        return Ranges(tuple(map(IPv4Network, ipv4)), tuple(map(IPv6Network, ipv6)))
    except ValueError:
        raise _unbelievable("something that is no network") from None


def accepted(new: Ranges, old: Ranges | None) -> Ranges:
    """``new``, if it can be believed.

    Raises:
        CloudflareUnreachable: It cannot; the old ones stay.
    """
    for networks in (new.ipv4_cidrs, new.ipv6_cidrs):
        if not networks:
            raise _unbelievable("none of one version")
        for network in networks:
            if network.prefixlen < LARGEST[network.version]:
                raise _unbelievable(f"{network}, which is half the world")
    if old is not None:
        _require_most(_numbers(new.ipv4_cidrs), _numbers(old.ipv4_cidrs))
        _require_most(_numbers(new.ipv6_cidrs), _numbers(old.ipv6_cidrs))
    return new


def _numbers(networks: Sequence[IPv4Network] | Sequence[IPv6Network]) -> list[tuple[int, int]]:
    collapsed: Iterable[IPv4Network | IPv6Network] = collapse_addresses(networks)  # type: ignore[type-var, assignment]
    return [(int(each.network_address), int(each.broadcast_address)) for each in collapsed]


def _require_most(new: list[tuple[int, int]], old: list[tuple[int, int]]) -> None:
    total = sum(last - first + 1 for first, last in old)
    kept = sum(
        max(0, min(last, end) - max(first, begin) + 1) for first, last in old for begin, end in new
    )  # fmt: skip
    if total and Fraction(kept, total) < KEPT:
        raise _unbelievable(f"only {100 * kept // total} % of the addresses known before")


def _unbelievable(what: str) -> CloudflareUnreachable:
    return CloudflareUnreachable(
        f"Cloudflare's list of its addresses holds {what}; the one known before stays",
        "compare https://www.cloudflare.com/ips",
    )
