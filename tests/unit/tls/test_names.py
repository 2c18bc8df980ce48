"""Host names and addresses: what may stand in a certificate, and what stays out of nginx's configuration."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.errors import NameRefused
from nasos.tls import names


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("localhost", "localhost"),
        (" Bot.Home.Arpa. ", "bot.home.arpa"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("[::1]", IPv6Address("::1")),
        ("2001:DB8::1", IPv6Address("2001:db8::1")),
    ],
)
def test_understood(text: str, meant: names.Host) -> None:
    """Case, a final dot and brackets do not matter."""
    assert names.host(text) == meant


@pytest.mark.parametrize(
    "text",
    ["", ".", "-a", "a-", "a..b", "a_b", "a b", "a;b", "a{", "$host", "*.lan", "a" * 64, "a." * 127 + "aa", "1.2.3",
     "256.1.1.1", "localhost:8443", "https://x", "x/y", "bücher", "a\nb", "'a'"],
)  # fmt: skip
def test_refused(text: str) -> None:
    """Anything else is refused with a hint."""
    with pytest.raises(NameRefused) as caught:
        names.host(text)
    assert caught.value.hint


@given(st.text())
def test_what_passes_is_harmless(text: str) -> None:
    """Whatever is accepted can stand in a configuration file as it is."""
    try:
        accepted = str(names.host(text))
    except NameRefused:
        return
    assert set(accepted) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-:%") - set("%")


def test_coverage_follows_labels() -> None:
    """A permitted name holds itself and what is below it, never what merely ends alike."""
    permitted = ("home.arpa", IPv4Network("192.168.0.0/16"))
    covered = {text: names.covers(permitted, names.host(text)) for text in
               ("home.arpa", "bot.home.arpa", "nothome.arpa", "arpa", "192.168.7.7", "192.169.0.1", "::1")}  # fmt: skip
    assert [text for text, yes in covered.items() if yes] == ["home.arpa", "bot.home.arpa", "192.168.7.7"]


@pytest.mark.parametrize(
    ("text", "local"),
    [("localhost", True), ("nas", True), ("bot.home.arpa", True), ("192.168.1.1", True), ("::1", True),
     ("bot.example.com", False), ("1.1.1.1", False), ("2606:4700::1111", False)],
)  # fmt: skip
def test_local_names(text: str, *, local: bool) -> None:
    """Names and addresses of a private network are told from public ones."""
    assert names.local(names.host(text)) is local
