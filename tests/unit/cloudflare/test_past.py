"""Records that lead past Cloudflare."""

from __future__ import annotations

import pytest

from nasos.cloudflare.answers import Record
from nasos.cloudflare.past import past

HOST = "bot.example.com"
GOOD = Record("1", HOST, "A", "203.0.113.7", proxied=True)


def test_a_name_that_is_proxied_and_stands_alone_is_fine() -> None:
    """Also among others that say nothing of it."""
    others = [
        Record("2", "www.example.com", "A", "192.0.2.9", proxied=False),
        Record("3", "example.com", "TXT", "v=spf1 ip4:203.0.113.70 -all"),
        Record("4", "api.example.com", "A", "203.0.113.7", proxied=True),
    ]
    assert past([GOOD, *others], [HOST], ["203.0.113.7"]) == ()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Record("2", "old.example.com", "A", "203.0.113.7", proxied=False), "old.example.com (A) shows"),
        (Record("2", "example.com", "TXT", '"v=spf1 ip4:203.0.113.7/32 -all"'), "example.com (TXT) shows"),
        (Record("2", "example.com", "SPF", "v=spf1 ip4:203.0.113.7 -all"), "example.com (SPF) shows"),
        (Record("2", HOST, "AAAA", "2001:db8::7", proxied=False), f"{HOST} (AAAA) is not proxied"),
        (Record("2", HOST, "A", "198.51.100.1", proxied=True), "leads to 198.51.100.1"),
    ],
)
def test_what_shows_the_address_is_named(other: Record, words: str) -> None:
    """Once."""
    [wrong] = past([GOOD, other], [HOST], ["203.0.113.7"])
    assert words in wrong


def test_a_name_without_a_record_is_the_wildcards() -> None:
    """As DNS has it; and one without either is said."""
    assert past([], [HOST]) == (f"{HOST} has no record",)
    star = Record("1", "*.example.com", "A", "203.0.113.7", proxied=True)
    assert past([star], [HOST]) == ()
    [wrong] = past([Record("1", "*.example.com", "A", "203.0.113.7", proxied=False)], [HOST])
    assert "not proxied" in wrong
