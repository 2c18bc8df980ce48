"""Which list of Cloudflare's addresses is believed: one that could close the edge, or open it, is not."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.cloudflare import direct
from nasos.cloudflare.ranges import accepted, fetched, parsed
from nasos.errors import CloudflareUnreachable
from simulators.cloudflare import HTML, Cloudflare, Reply

FOUR, SIX = (
    ["173.245.48.0/20", "103.21.244.0/22", "104.16.0.0/13", "172.64.0.0/13"],
    ["2400:cb00::/32", "2606:4700::/32"],
)
KNOWN = parsed(FOUR, SIX)


def test_the_list_is_read_and_a_larger_one_is_believed() -> None:
    """Also where nothing was known before, and where networks were joined or split."""
    simulated = Cloudflare(ipv4=[*FOUR, "131.0.72.0/22"], ipv6=SIX)
    with direct(simulated) as client:
        found = fetched(client)
    assert accepted(found, None) == accepted(found, KNOWN) == found
    halves = [str(half) for each in FOUR for half in IPv4Network(each).subnets()]
    assert accepted(parsed(halves, SIX), KNOWN).ipv4_cidrs


@pytest.mark.parametrize(
    ("ipv4", "ipv6"),
    [
        ([], SIX), (FOUR, []), (["0.0.0.0/0"], SIX), ([*FOUR, "0.0.0.0/1"], SIX), (FOUR, [*SIX, "::/0"]),
        (FOUR[:1], SIX), (FOUR, SIX[:1]), (["192.0.2.0/24"], SIX),
    ],
    ids=["no 4", "no 6", "everybody", "half", "every 6", "shrunk", "shrunk 6", "others"],
)  # fmt: skip
def test_a_list_that_would_open_or_close_the_edge_is_not(ipv4: list[str], ipv6: list[str]) -> None:
    """Empty, everybody, a quarter gone, or quite another one."""
    with pytest.raises(CloudflareUnreachable, match="the one known before stays"):
        accepted(parsed(ipv4, ipv6), KNOWN)


@pytest.mark.parametrize(
    "reply",
    [HTML, Reply(200, {"success": True, "errors": [], "result": {"ipv4_cidrs": ["x; }"], "ipv6_cidrs": []}}),
     Reply(200, {"success": True, "errors": [], "result": {}})],
    ids=["html", "no network", "nothing"],
)  # fmt: skip
def test_what_is_no_list_of_networks_is_none(reply: Reply) -> None:
    """It would stand in nginx's configuration."""
    simulated = Cloudflare()
    simulated.fail_next("GET /ips", reply, times=100)
    with direct(simulated) as client, pytest.raises(CloudflareUnreachable):
        fetched(client)


@given(st.sets(st.sampled_from(FOUR)))
def test_a_quarter_at_most_may_go(kept: set[str]) -> None:
    """Counted by addresses and not by lines."""

    def size(networks: set[str]) -> int:
        return sum(IPv4Network(each).num_addresses for each in networks)

    if kept and 4 * size(kept) >= 3 * size(set(FOUR)):
        assert accepted(parsed(sorted(kept), SIX), KNOWN).texts
    else:
        with pytest.raises(CloudflareUnreachable):
            accepted(parsed(sorted(kept), SIX), KNOWN)
