"""The rendered configuration: fitted to the build at hand, and closed to what would change its meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nasos.errors import NameRefused, TlsError
from nasos.tls import EdgeConfig, NginxBuild, nginx, profile

OLD = NginxBuild((1, 22, 1), (3, 0, 19), frozenset())
NEW = NginxBuild((1, 31, 3), (3, 5, 0), frozenset())
CONFIG = EdgeConfig(
    listen="127.0.0.1",
    port=8443,
    hosts=("localhost",),
    certificate=Path("/h/tls/edge.pem"),
    key=Path("/h/tls/edge.key"),
    upstream_port=8446,
    upstream_ca=Path("/h/tls/ca.pem"),
    directory=Path("/h/nginx"),
    page=Path("/p"),
)


def _render(build: NginxBuild = NEW, **changes: Any) -> str:
    return nginx.render(replace(CONFIG, **changes), build)


def test_checkout_holds_the_shipped_template() -> None:
    """``config/nginx`` and the package carry the same file."""
    checkout = Path(__file__).parents[3] / "config" / "nginx" / "nginx.conf.template"
    assert checkout.read_text() == nginx.template()


def test_nothing_is_left_to_fill_in() -> None:
    """No place holder and no choice remains in what nginx reads."""
    for build in (OLD, NEW):
        for frequi in (False, True):
            text = _render(build, frequi=frequi, worker_user="www-data")
            assert not [line for line in text.splitlines() if line.startswith(("#if", "#else", "#end"))]
            assert "@" not in text.replace("@problem", "").replace("@plain", "")


def test_http2_is_said_in_the_builds_own_way() -> None:
    """``http2 on`` exists since 1.25.1; before, it is a word of ``listen``."""
    assert "ssl http2" in _render(OLD)
    assert "http2 on;" not in _render(OLD)
    assert "http2 on;" in _render(NEW)
    assert "ssl http2" not in _render(NEW)


def test_tickets_are_off_where_their_keys_stay() -> None:
    """nginx before 1.23.2 never changes its ticket keys."""
    assert "ssl_session_tickets off;" in _render(OLD)
    assert "ssl_session_tickets" not in _render(NEW)


@pytest.mark.parametrize(
    ("openssl", "first"), [((), "X25519"), ((3, 0, 19), "X25519"), ((3, 3, 7), "X25519"), ((3, 5, 0), "X25519MLKEM768")]
)
def test_groups_fit_the_openssl(openssl: tuple[int, ...], first: str) -> None:
    """A group that OpenSSL does not know would stop nginx: it is left out, and comes first where it is known."""
    assert profile.load().groups(openssl)[0] == first


def test_profile_is_mozillas() -> None:
    """Version 6.0, intermediate, with its provenance."""
    shipped = profile.load()
    assert shipped.provenance.version == "6.0"
    assert shipped.provenance.source.startswith("https://ssl-config.mozilla.org/")
    assert shipped.configuration.tls_versions == ("TLSv1.2", "TLSv1.3")
    assert not [name for name in shipped.configuration.ciphers.openssl if "ECDHE" not in name]


def test_hsts_is_short_for_local_names() -> None:
    """Two years for a public name, an hour when every name is local: the rule would hold for all ports there."""
    assert 'on "max-age=3600"' in _render()
    assert 'on "max-age=63072000"' in _render(hosts=("localhost", "bot.example.com"))


@pytest.mark.parametrize("field", ["certificate", "key", "directory", "page", "log"])
@pytest.mark.parametrize("path", ['/a"; include /etc/passwd; "', "/a$uri", "/a\\b", "/a\nb", "/a\x00b"])
def test_paths_cannot_speak_nginx(field: str, path: str) -> None:
    """A path that would end its quotes or name a variable is refused."""
    with pytest.raises(TlsError, match="nginx would read"):
        _render(NEW, **{field: Path(path)})


def test_other_values_cannot_either() -> None:
    """Hosts, addresses and users are checked before they are written."""
    with pytest.raises(NameRefused):
        _render(hosts=("a; include x",))
    with pytest.raises(TlsError):
        _render(listen="localhost")
    with pytest.raises(TlsError):
        _render(worker_user="www-data; include x")


def test_ipv6_is_bracketed() -> None:
    """Addresses of version 6 stand in brackets, in ``listen`` and among the names."""
    text = _render(listen="::1", hosts=("localhost", "::1"))
    assert "listen [::1]:8443 ssl default_server;" in text
    assert "server_name localhost [::1];" in text


def test_add_header_stands_in_no_location() -> None:
    """One ``add_header`` in a location would drop all headers of the levels above it."""
    lines = _render().splitlines()
    assert {len(line) - len(line.lstrip()) for line in lines if line.lstrip().startswith("add_header")} == {4}


OTHER = nginx.Behind(hosts=["b.test"], address="192.168.1.7", port=8080, ca=Path("/c.pem"), name="b.test")
ASKED = nginx.Gateway(8449, Path("/h/tls/nginx.pem"), Path("/h/tls/nginx.key"))


def test_each_bot_has_a_server_of_its_own() -> None:
    """With its own names, place and CA; what is not for the gateway goes to that bot alone."""
    own, other = _render(gateway=ASKED, others=[OTHER]).split("\n        server_name ")[2:]
    assert (own.split(";")[0], other.split(";")[0]) == ("localhost", "b.test")
    assert "192.168.1.7:8080" not in own
    assert "127.0.0.1:8446" not in other
    assert (own.count('"/c.pem"'), other.count('"/c.pem"')) == (0, 1)


@pytest.mark.parametrize(
    "changes",
    [{"hosts": ["192.168.1.8"]}, {"address": "a b"}, {"name": "x;y"}, {"ca": Path('/c"$x')},
     {"address": "127.0.0.1", "port": 8446}],
)  # fmt: skip
def test_a_bot_that_nginx_could_mistake_is_refused(changes: dict[str, Any]) -> None:
    """By an address no handshake names it; two at one place would share a TLS session; nothing changes the language."""
    with pytest.raises((TlsError, NameRefused)):
        _render(gateway=ASKED, others=[replace(OTHER, **changes)])


def test_another_bot_needs_a_gateway() -> None:
    """Without one there is nobody who could tell their users apart."""
    with pytest.raises(TlsError):
        _render(others=[OTHER])
