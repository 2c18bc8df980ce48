from __future__ import annotations

import pytest

from nasos.cloudflare.labels import Container, Desired, Rules, Wanted, desired
from nasos.cloudflare.names import canonical, content_of, holds, zone_of
from nasos.cloudflare.ownership import LONGEST_SOURCE, source_of
from nasos.errors import NameRefused

RULES = Rules(zones=("example.com", "example.org", "dev.example.com"), targets=("203.0.113.7", "2001:DB8::7"))
LOOSE = Rules(
    zones=RULES.zones, targets=("203.0.113.7",), allowed=("198.51.100.1", "Home.Example.NET."),
    wildcard=True, apex=True, deep=True, proxied=False, ttl=300,
)  # fmt: skip


def ask(rules: Rules = RULES, **labels: str) -> Desired:
    """What one container with these labels asks for."""
    return desired([Container("bot", {f"cloudflare.{key}": value for key, value in labels.items()})], rules)


def names(found: Desired) -> list[str]:
    """Whole names, each once."""
    return sorted({each.name for each in found.wanted})


def test_the_users_two_labels_make_a_proxied_name_for_both_families() -> None:
    """As in the user's document."""
    found = ask(subdomain="bot", proxied="true")
    assert found == Desired(
        (
            Wanted("example.com", "bot.example.com", "A", "203.0.113.7", proxied=True, ttl=1, source="bot"),
            Wanted("example.com", "bot.example.com", "AAAA", "2001:db8::7", proxied=True, ttl=1, source="bot"),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"subdomain": "Bot"}, ["bot.example.com"]),
        ({"subdomain": " a , b"}, ["a.example.com", "b.example.com"]),
        ({"subdomain": "bot", "zone": "Example.ORG."}, ["bot.example.org"]),
        ({"subdomain": "bot.example.org"}, ["bot.example.org"]),
        ({"subdomain": "bot.example.org."}, ["bot.example.org"]),
        ({"subdomain": "bot.dev.example.com"}, ["bot.dev.example.com"]),
        ({"subdomain": "bücher"}, ["xn--bcher-kva.example.com"]),
        ({"subdomain": "BÜCHER"}, ["xn--bcher-kva.example.com"]),
        ({"subdomain": "bot", "enabled": "false"}, []),
        ({"enabled": "false"}, []),
        ({}, []),
    ],
)
def test_a_name_is_found_in_its_zone(labels: dict[str, str], expected: list[str]) -> None:
    """Relative to the first zone or the label's; whole names in the longest zone that holds them."""
    found = ask(RULES, **labels)
    assert (names(found), found.mistakes) == (expected, ())
    assert all(each.zone == zone_of(each.name, RULES.zones) for each in found.wanted)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"proxied": "true"}, "subdomain is missing"),
        ({"subdomain": ""}, "subdomain is missing"),
        ({"subdomain": "a,,b"}, "is no host name"),
        ({"subdomain": "bot", "proxied": "yes"}, "proxied is 'yes'"),
        ({"subdomain": "bot", "proxied": "True"}, "proxied is 'True'"),
        ({"subdomain": "bot", "proxied": ""}, "proxied is ''"),
        ({"subdomain": "bot", "enabled": "0"}, "enabled is '0'"),
        ({"subdomain": "bot", "proxid": "true"}, "unknown label cloudflare.proxid"),
        ({"subdomain": "bot", "Proxied": "true"}, "unknown label cloudflare.Proxied"),
        ({"subdomain": "a.b"}, "certificate covers one"),
        ({"subdomain": "a.b.example.org"}, "certificate covers one"),
        ({"subdomain": "a_b c"}, "is no host name"),
        ({"subdomain": "-a"}, "is no host name"),
        ({"subdomain": "a\nb"}, "is no host name"),
        ({"subdomain": "x" * 64}, "is no host name"),
        ({"subdomain": ".".join(["x" * 60] * 5), "proxied": "false"}, "is no host name"),
        ({"subdomain": "@"}, "itself is not to be changed"),
        ({"subdomain": "example.com"}, "itself is not to be changed"),
        ({"subdomain": "*"}, "wildcard"),
        ({"subdomain": "*.example.org"}, "wildcard"),
        ({"subdomain": "a.*"}, "is no host name"),
        ({"subdomain": "bot.evil.net."}, "is not in the zone"),
        ({"subdomain": "notexample.com", "proxied": "false"}, "looks like example.com"),
        ({"subdomain": "example.com.evil.net", "proxied": "false"}, "looks like example.com"),
        ({"subdomain": "bot", "zone": "notexample.com"}, "none of the zones"),
        ({"subdomain": "bot", "zone": "com"}, "none of the zones"),
        ({"subdomain": "x.dev.example.com", "zone": "example.com"}, "is not in the zone"),
        ({"subdomain": "bot", "type": "TXT"}, "type is 'TXT'"),
        ({"subdomain": "bot", "type": "CNAME"}, "no target of type CNAME"),
        ({"subdomain": "bot", "target": "198.51.100.9"}, "198.51.100.9 is not allowed"),
        ({"subdomain": "bot", "target": "evil.example.net"}, "evil.example.net is not allowed"),
        ({"subdomain": "bot", "target": ""}, "is no host name"),
        ({"subdomain": "bot", "target": "203.0.113.7", "type": "AAAA"}, "no target of type AAAA"),
        ({"subdomain": "bot", "ttl": "59", "proxied": "false"}, "ttl is '59'"),
        ({"subdomain": "bot", "ttl": "1h", "proxied": "false"}, "ttl is '1h'"),
        ({"subdomain": "bot", "ttl": "-1", "proxied": "false"}, "ttl is '-1'"),
        ({"subdomain": "bot", "ttl": "86401", "proxied": "false"}, "ttl is '86401'"),
        ({"subdomain": "bot", "ttl": "0", "proxied": "false"}, "ttl is '0'"),
        ({"subdomain": "bot", "ttl": "", "proxied": "false"}, "ttl is ''"),
        ({"subdomain": "bot", "ttl": "٦٠", "proxied": "false"}, "ttl is '٦٠'"),
        ({"subdomain": "x" * 10_240}, "is no host name"),
        ({"subdomain": "a." * 5_120 + "b", "proxied": "false"}, "is no host name"),
        ({"subdomain": "bot", "proxied": "t" * 10_240}, "proxied is 't"),
        ({"subdomain": "bot", "ttl": "6" * 10_240, "proxied": "false"}, "ttl is '6"),
        ({"subdomain": "bot", "type": "A" * 10_240}, "type is 'A"),
        ({"subdomain": "bot", "target": "9" * 10_240}, "is no host name"),
        ({"subdomain": "bot", "zone": "z" * 10_240}, "is no host name"),
        ({"subdomain": "bot", "k" * 10_240: "x"}, "unknown label cloudflare.kkk"),
        ({"subdomain": "bot\x00"}, "is no host name"),
        ({"subdomain": "bot\x1b[31m"}, "is no host name"),
        ({"subdomain": "bot\u202e"}, "is no host name"),
        ({"subdomain": "bot\ud800"}, "is no host name"),
        ({"subdomain": "bot", "target": "203.0.113.7\r\nX: y"}, "is no host name"),
        ({"subdomain": "bot", "zone": "example.com\x7f"}, "is no host name"),
        ({"subdomain": "bot", "proxied": "true\x00"}, "proxied is 'true"),
        ({"subdomain": "bot", "prox\x07ied": "true"}, "unknown label"),
    ],
)
def test_what_cannot_be_followed_is_a_mistake_of_that_container(labels: dict[str, str], message: str) -> None:
    """With its name, a reason and a hint; and it asks for nothing."""
    found = ask(RULES, **labels)
    assert found.wanted == ()
    [mistake] = found.mistakes
    assert message in mistake.message
    assert mistake.hint
    assert (len(mistake.message) < 300, mistake.message.isprintable()) == (True, True)
    assert (mistake.container, mistake.source) == ("bot", "bot")


def test_a_mistake_in_one_container_changes_nothing_for_others() -> None:
    """Both of them are heard."""
    containers = [Container("good", {"cloudflare.subdomain": "a"}), Container("bad", {"cloudflare.subdomain": "a b"})]
    found = desired([*containers, Container("foreign", {"traefik.enable": "maybe"})], RULES)
    assert names(found) == ["a.example.com"]
    assert [each.container for each in found.mistakes] == ["bad"]


def test_what_the_settings_allow_is_followed() -> None:
    """Wildcard, apex, deep names, another target, an alias, a ttl; a proxied record has no ttl of its own."""
    assert names(ask(LOOSE, subdomain="*,@,a.b,*.dev")) == sorted(
        ["*.example.com", "example.com", "a.b.example.com", "*.dev.example.com"]
    )
    [alias] = ask(LOOSE, subdomain="a", target="home.example.net").wanted
    assert (alias.type, alias.content, alias.ttl, alias.proxied) == ("CNAME", "home.example.net", 300, False)
    assert ask(LOOSE, subdomain="a", ttl="60").wanted[0].ttl == 60
    assert ask(LOOSE, subdomain="a", ttl="60", proxied="true").wanted[0].ttl == 1
    assert [each.type for each in ask(RULES, subdomain="a", type="AAAA").wanted] == ["AAAA"]
    both = ask(LOOSE, subdomain="a", target="198.51.100.1,203.0.113.7")
    assert [each.content for each in both.wanted] == ["198.51.100.1", "203.0.113.7"]
    assert "stands alone" in ask(LOOSE, subdomain="a", target="198.51.100.1,home.example.net").mistakes[0].message
    itself = Rules(zones=("example.com",), targets=("a.example.com",))
    assert "lead to itself" in ask(itself, subdomain="a").mistakes[0].message
    assert "no target" in ask(Rules(zones=("example.com",)), subdomain="a").mistakes[0].message


def test_a_zone_holds_a_name_on_a_labels_boundary_only() -> None:
    """The anchor of companions takes any name that contains the zone."""
    assert holds("example.com", "example.com")
    assert holds("example.com", "a.b.example.com")
    for name in ("notexample.com", "example.com.evil.net", "xexample.com", "example.co", "com", ""):
        assert not holds("example.com", name)
    assert zone_of("a.dev.example.com", ["example.com", "dev.example.com"]) == "dev.example.com"
    assert zone_of("a.example.net", ["example.com"]) is None


def test_a_name_is_written_in_one_way() -> None:
    """Case, the dot at the end, international letters."""
    assert canonical("WWW.Example.COM.") == "www.example.com"
    assert canonical("*.Straße.example") == canonical("*.strasse.example") or "xn--" in canonical("*.Straße.example")
    for text in ("", ".", "a..b", "*", "a.*.b", "x" * 64, "1.2.3.4", "a\x00b", "a b"):
        with pytest.raises(NameRefused):
            canonical(text)


def test_a_target_is_an_address_or_a_host() -> None:
    """As Cloudflare writes it."""
    assert content_of(" 2001:DB8:0:0::1 ") == ("AAAA", "2001:db8::1")
    assert content_of("203.0.113.7") == ("A", "203.0.113.7")
    assert content_of("Home.Example.NET.") == ("CNAME", "home.example.net")
    for text in ("localhost", "203.0.113.256", "fe80::1%eth0", "*.example.net", "a b", "203.0.113.07"):
        with pytest.raises(NameRefused):
            content_of(text)


def test_a_containers_name_fits_into_a_comment_and_stays_distinct() -> None:
    """Whatever it is called."""
    assert source_of("nasos-bot_1") == "nasos-bot_1"
    long = [source_of("x" * 200), source_of("x" * 201), source_of("a b"), source_of("a\tb"), source_of("é")]
    assert len(set(long)) == 5
    assert all(len(each) <= LONGEST_SOURCE and each.isascii() and " " not in each for each in long)
