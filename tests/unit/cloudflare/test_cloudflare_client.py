from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.cloudflare import Clock, direct
from nasos.cloudflare.answers import Record
from nasos.cloudflare.client import Client, Manner
from nasos.errors import (
    ApiTokenRefused,
    ChangeUnknown,
    CloudflareBusy,
    CloudflareError,
    CloudflareRefused,
    CloudflareUnreachable,
    PermissionMissing,
    UsageError,
)
from nasos.secret import Secret
from simulators.cloudflare import BROKEN, HTML, Cloudflare, Reply, Token, Zone, busy, failing, failure
from simulators.cloudflare_server import serving
from simulators.raw_server import answer, half_an_answer, hang_up, nonsense, raw_server

TOKEN = "t" * 40


@pytest.fixture
def simulated() -> Cloudflare:
    """One zone with one record."""
    simulated = Cloudflare()
    simulated.add(simulated.add_zone("example.com"), "A", "www", "203.0.113.7")
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """That zone."""
    return next(iter(simulated.zones.values()))


def create(client: Client, zone: Zone, **more: object) -> Record:
    """One record."""
    body = {"type": "A", "name": "bot.example.com", "content": "203.0.113.9", "ttl": 1, **more}
    return client.change("POST", f"/zones/{zone.id}/dns_records", Record, body)


def listed(client: Client, zone: Zone, per_page: int = 100) -> tuple[Record, ...]:
    """All records."""
    return client.every(f"/zones/{zone.id}/dns_records", Record, per_page)


def test_a_token_with_a_line_break_at_its_end_is_taken(simulated: Cloudflare, zone: Zone) -> None:
    """Over a real connection, as `echo token > file` leaves it."""
    with serving(simulated) as origin, Client(Secret(f"{TOKEN}\n"), origin) as client:
        assert client.verify().status == "active"
        assert [record.name for record in listed(client, zone)] == ["www.example.com"]
        assert create(client, zone).content == "203.0.113.9"


@pytest.mark.parametrize("token", ["two words", "a\nb", "ключ", ""])
def test_a_token_that_is_none_is_never_sent(token: str) -> None:
    """Inner line breaks would end the header."""
    with pytest.raises(ApiTokenRefused, match="holds characters that no token has"):
        Client(Secret(token))


@pytest.mark.parametrize(
    "origin", ["http://192.0.2.1/v4", "http://api.cloudflare.com", "ftp://localhost", "https://", ""]
)
def test_a_token_goes_nowhere_without_tls(origin: str) -> None:
    """Plain http is for a simulator on loopback."""
    with pytest.raises(UsageError):
        Client(Secret(TOKEN), origin)


@pytest.mark.parametrize("seconds", ["1", "61", "300"])
def test_patience_that_is_asked_for_is_had(simulated: Cloudflare, zone: Zone, seconds: str) -> None:
    """Retry-After of more than a minute, too, before a read and before a change: it was not done."""
    clock = Clock()
    client = direct(simulated, clock=clock)
    simulated.fail_next(".*", busy(seconds))
    listed(client, zone)
    simulated.fail_next(".*", busy(seconds))
    create(client, zone)
    assert clock.slept == [float(seconds), float(seconds)]
    assert len(simulated.changes) == 2
    assert len(zone.records) == 2


def test_more_patience_than_we_have_is_said_and_kept(simulated: Cloudflare, zone: Zone) -> None:
    """Nothing goes out before the time is over, not even another question."""
    clock = Clock()
    client = direct(simulated, clock=clock)
    simulated.fail_next(".*", busy("3600"))
    for _ in range(2):
        with pytest.raises(CloudflareBusy, match="patience"):
            listed(client, zone)
    assert len(simulated.requests) == 1
    clock.now += 3600
    assert len(listed(client, zone)) == 1


def test_patience_until_a_date_counts_from_the_answers_own_clock(simulated: Cloudflare, zone: Zone) -> None:
    """This machine's may be wrong."""
    clock = Clock()
    when = {"retry-after": "Wed, 21 Oct 2015 07:30:00 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    simulated.fail_next(".*", Reply(429, failure((10100, "slow down")), when))
    listed(direct(simulated, clock=clock), zone)
    assert clock.slept == [120.0]


def test_a_read_is_repeated_and_a_change_is_not(simulated: Cloudflare, zone: Zone) -> None:
    """Whatever was lost: 5xx, a broken connection."""
    for trouble in (failing(500), failing(503), failing(522), BROKEN):
        client = direct(simulated)
        simulated.fail_next("GET .*", trouble, times=4)
        assert listed(client, zone)
        before = len(simulated.changes)
        simulated.fail_next("POST .*", trouble)
        with pytest.raises(ChangeUnknown, match="may have been made"):
            create(client, zone)
        assert len(simulated.changes) == before + 1


def test_a_read_is_not_repeated_for_ever(simulated: Cloudflare, zone: Zone) -> None:
    """Five tries, then it is said."""
    simulated.fail_next("GET .*", failing(503), times=99)
    with pytest.raises(CloudflareUnreachable, match="503"):
        listed(direct(simulated), zone)
    assert len(simulated.requests) == 5


def test_a_login_page_is_no_answer(simulated: Cloudflare, zone: Zone) -> None:
    """And after a change it leaves open what happened."""
    client = direct(simulated)
    simulated.fail_next(".*", HTML)
    with pytest.raises(CloudflareUnreachable, match="does not speak its language"):
        listed(client, zone)
    simulated.fail_next(".*", HTML, after=True)
    with pytest.raises(ChangeUnknown):
        create(client, zone)
    simulated.fail_next(".*", Reply(403, raw=b"<html>blocked</html>"))
    with pytest.raises(CloudflareUnreachable):
        create(client, zone)


@pytest.mark.parametrize(
    "document",
    [{}, [], {"success": "yes"}, {"success": True, "result": {"id": 1}}, {"success": True, "result": [{"id": 3}]}],
)
def test_a_malformed_answer_is_no_answer(simulated: Cloudflare, zone: Zone, document: object) -> None:
    """Not the envelope, or not the result."""
    simulated.fail_next(".*", Reply(200, document))
    with pytest.raises(CloudflareUnreachable):
        listed(direct(simulated), zone)
    simulated.fail_next(".*", Reply(200, document), after=True)
    with pytest.raises(ChangeUnknown):
        create(direct(simulated), zone)


def test_broken_connections_are_told_apart_by_what_was_sent() -> None:
    """Over real sockets: nobody listens (not done), and every kind of half an answer (unknown)."""
    manner = Clock().manner
    with raw_server() as server:
        nobody = server.address
    with Client(Secret(TOKEN), nobody, manner) as client, pytest.raises(CloudflareUnreachable, match="reached"):
        client.change("POST", "/zones/1/dns_records", Record, {})
    for step in (hang_up, half_an_answer, nonsense, answer(b"<html>")):
        with raw_server([step]) as server, Client(Secret(TOKEN), server.address, manner) as client:
            with pytest.raises(ChangeUnknown):
                client.change("POST", "/zones/1/dns_records", Record, {})
            assert len(server.requests) == 1


def test_no_redirect_takes_the_token_along() -> None:
    """It is no answer."""
    away = answer(b"", "302 Found", "Location: http://127.0.0.1:9/\r\n")
    with raw_server([away]) as server, Client(Secret(TOKEN), server.address, Manner()) as client:
        with pytest.raises(CloudflareUnreachable):
            client.verify()
        assert len(server.requests) == 1


def test_the_missing_permission_is_named(simulated: Cloudflare, zone: Zone) -> None:
    """And a token that is wrong altogether is told from one that may too little."""
    simulated.tokens += [
        Token("r" * 40, frozenset({"dns:read"})), Token("n" * 40, frozenset()), Token("z" * 40, zones=frozenset()),
        Token("e" * 40, status="expired"),
    ]  # fmt: skip
    with pytest.raises(PermissionMissing, match=r'lacks "Zone · DNS · Edit"'):
        create(direct(simulated, "r" * 40), zone)
    with pytest.raises(PermissionMissing, match=r'lacks "Zone · DNS · Read".*10000'):
        listed(direct(simulated, "n" * 40), zone)
    with pytest.raises(PermissionMissing, match=r"not one of its zones .*9109"):
        listed(direct(simulated, "z" * 40), zone)
    for dead in ("e" * 40, "u" * 40):
        with pytest.raises(ApiTokenRefused, match="does not accept") as refused:
            listed(direct(simulated, dead), zone)
        assert "Zone · DNS · Read" in str(refused.value.hint)
    with pytest.raises(ApiTokenRefused):
        direct(simulated, "u" * 40).verify()


@pytest.mark.parametrize(
    ("more", "code", "hint"),
    [
        ({"ttl": 30}, 9021, "60 to 86400"),
        ({"type": "AAAA"}, 9006, "IPv6"),
        ({"content": "x"}, 9005, "IPv4"),
        ({"type": "CNAME", "content": "?"}, 9007, "host name"),
        ({"content": "10.0.0.1", "proxied": True}, 9003, "cloudflare.proxied"),
        ({"type": "TXT", "proxied": True}, 9004, "cloudflare.proxied"),
        ({"name": "www", "content": "203.0.113.7"}, 81058, "run the command again"),
        ({"name": "www", "type": "CNAME", "content": "a.example.org"}, 81053, "run the command again"),
        ({"comment": "x" * 101}, 1004, "name and target"),
    ],
)  # fmt: skip
def test_what_cloudflare_refuses_has_a_hint(
    simulated: Cloudflare, zone: Zone, more: dict[str, object], code: int, hint: str
) -> None:
    """By its code, which is named."""
    with pytest.raises(CloudflareRefused, match=str(code)) as refused:
        create(direct(simulated), zone, **more)
    assert refused.value.codes == (code,)
    assert hint in str(refused.value.hint)
    assert len(zone.records) == 1


def test_a_header_that_cloudflare_cannot_read_is_the_tokens_fault(simulated: Cloudflare, zone: Zone) -> None:
    """6003, with 6111 inside."""
    chain = {"code": 6111, "message": "Invalid format for Authorization header"}
    document = {
        **failure((6003, "Invalid request headers")),
        "errors": [{"code": 6003, "message": "x", "error_chain": [chain]}],
    }
    simulated.fail_next(".*", Reply(400, document))
    with pytest.raises(ApiTokenRefused, match="6003/6111"):
        listed(direct(simulated), zone)


def test_a_list_that_shifts_while_it_is_read_is_read_again(simulated: Cloudflare, zone: Zone) -> None:
    """A record removed from the first page would hide one of the second."""
    for number in range(9):
        simulated.add(zone, "TXT", f"t{number}", "x")

    def remove_one() -> None:
        simulated.between = None
        del zone.records[next(iter(zone.records))]

    simulated.between = remove_one
    client = direct(simulated)
    assert {record.id for record in listed(client, zone, per_page=4)} == set(zone.records)
    assert client.calls == 6  # nine of what were ten; then three pages, whole

    def always() -> None:
        simulated.add(zone, "TXT", f"n{len(simulated.requests)}", "x")

    simulated.between = always
    with pytest.raises(CloudflareUnreachable, match="faster"):
        listed(client, zone, per_page=4)


def test_no_error_holds_the_token(simulated: Cloudflare, zone: Zone) -> None:
    """Not even when Cloudflare says it."""
    simulated.fail_next(".*", Reply(400, failure((1004, f"who is {TOKEN}?\nand more.\x1b[31m"))))
    with pytest.raises(CloudflareError) as refused:
        listed(direct(simulated), zone)
    assert TOKEN not in f"{refused.value!r}{refused.value.hint}"
    assert "\x1b" not in refused.value.message


def test_tries_that_take_long_are_no_pause_that_cloudflare_asked_for(simulated: Cloudflare, zone: Zone) -> None:
    """A name server that times out uses the patience up; what is said is that there is no answer."""
    clock = Clock()
    client = direct(simulated, clock=clock)
    client._manner = replace(client._manner, patience=0.1)  # the first pause between two tries is longer
    simulated.fail_next("GET .*", BROKEN, times=5)
    with pytest.raises(CloudflareUnreachable, match="lost"):
        listed(client, zone)
    assert len(simulated.requests) == 5
