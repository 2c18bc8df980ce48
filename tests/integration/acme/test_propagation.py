"""A challenge counts when every server of the zone shows it; real DNS messages on loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from nasos.errors import TlsError
from nasos.tls.dns01 import Record
from nasos.tls.propagation import Propagation, server
from simulators.dns_zone import NameServer, resolver_at

NAME, VALUE = "_acme-challenge.bot.example.org", "the-value-of-the-challenge"
RECORD = Record(NAME, VALUE)


@pytest.fixture
def zone() -> Iterator[tuple[NameServer, NameServer]]:
    """example.org with two servers; the first is the resolver, too. The second has an address that is not reached."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(NameServer("127.0.0.1"))
        second = stack.enter_context(NameServer("127.0.0.2", first.port))
        for each in (first, second):
            each.knows("example.org", "SOA", "one.example.org. admin.example.org. 1 60 60 60 60")
            each.knows("example.org", "NS", "one.example.org.", "two.example.org.")
            each.knows("one.example.org", "A", "127.0.0.1")
            each.knows("two.example.org", "A", "127.0.0.2")
            each.knows("two.example.org", "AAAA", "2001:db8::2")
        yield first, second


def asked(first: NameServer, seconds: float = 1) -> Propagation:
    """Asks the zone's own servers."""
    return Propagation(seconds, resolver=resolver_at(first), port=first.port, patience=1)


def test_it_counts_when_all_servers_show_it(zone: tuple[NameServer, NameServer]) -> None:
    """Also beside the value of another challenge."""
    first, second = zone
    for each in zone:
        each.knows(NAME, "TXT", '"another"', f'"{VALUE}"')
    asked(first, 30).wait([RECORD])
    assert f"{NAME}. TXT" in second.asked


def test_one_server_that_lags_behind_is_waited_for_and_named(zone: tuple[NameServer, NameServer]) -> None:
    """First it lacks the record, then it has another one, then the right one."""
    first, second = zone
    first.knows(NAME, "TXT", f'"{VALUE}"')
    with pytest.raises(TlsError, match=r"is not in the DNS after 1 s: not shown by 127\.0\.0\.2$"):
        asked(first).wait([RECORD])
    second.knows(NAME, "TXT", '"old"')
    with pytest.raises(TlsError, match=r"not shown by 127\.0\.0\.2$"):
        asked(first).wait([RECORD])
    second.records.pop()
    threading.Timer(0.5, second.knows, [NAME, "TXT", f'"{VALUE}"']).start()
    asked(first, 60).wait([RECORD])


def test_a_cname_is_followed_to_the_zone_that_has_the_challenge(zone: tuple[NameServer, NameServer]) -> None:
    """As with a zone kept for challenges only."""
    first, _ = zone
    for each in zone:
        each.knows(NAME, "CNAME", "challenges.example.org.")
        each.knows("challenges.example.org", "TXT", f'"{VALUE}"')
    asked(first, 30).wait([RECORD])


def test_silence_is_not_taken_for_yes() -> None:
    """A server that answers nobody is named; so is an address that is none."""
    with NameServer("127.0.0.1") as silent:
        silent.silent = True
        with pytest.raises(TlsError, match=r"no answer from 127\.0\.0\.1$"):
            Propagation(0.1, servers=[("127.0.0.1", silent.port)], patience=0.2).wait([RECORD])
    for text in ("ns1.example.org", "192.0.2.1:port", "", "[2001:db8::1"):
        with pytest.raises(TlsError, match="is not the address of a name server"):
            server(text)
    assert server("192.0.2.1") == ("192.0.2.1", 53)
    assert server("192.0.2.1:5353") == ("192.0.2.1", 5353)
    assert server("2001:db8::1") == ("2001:db8::1", 53)
    assert server("[2001:db8::1]:5353") == ("2001:db8::1", 5353)
