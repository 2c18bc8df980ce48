"""Which addresses of a Vault are taken."""

from __future__ import annotations

import pytest

from nasos.errors import SettingsError
from nasos.settings import vault_address

VALUE = "s.PlantedTokenValue0123456789"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:8200",
        "ftp://v:8200",
        "https://",
        "https://v:99999",
        "https://user@v:8200",
        f"https://:{VALUE}@v:8200",
        f"https://u:{VALUE}@v:8200",
        "https://@v:8200",
        "https://v:8200/v1",
        f"https://v:8200?token={VALUE}",
        "https://v:8200#x",
        "https://[::1",
        "https://a b:8200",
        "https://v\\x:8200",
        "http://v:8200",
        "http://127.0.0.1:8200",
        "http://127.0.0.1.evil.example:8200",
    ],
)
def test_an_address_that_could_leak_a_token_is_refused(address: str) -> None:
    """No user info, path, query or plain http; the text of the address is not echoed when it may hold a secret."""
    with pytest.raises(SettingsError) as caught:
        vault_address(address)
    assert VALUE not in f"{caught.value!r}{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("address", "allow", "clean"),
    [
        ("https://v:8200/", False, "https://v:8200"),
        ("https://[::1]:8200", False, "https://[::1]:8200"),
        ("https://vault.example", False, "https://vault.example"),
        ("http://127.0.0.1:8200", True, "http://127.0.0.1:8200"),
        ("http://localhost:8200", True, "http://localhost:8200"),
    ],
)
def test_good_addresses_are_normalized(address: str, allow: bool, clean: str) -> None:  # noqa: FBT001  a table
    """The positive twin; plain http only to a loopback address and only when allowed."""
    assert vault_address(address, allow_plain=allow) == clean


@pytest.mark.parametrize("host", ["v", "10.0.0.1", "localhost.evil.example", "0.0.0.0"])  # noqa: S104  an attack
def test_plain_http_off_loopback_is_refused_even_when_allowed(host: str) -> None:
    """NASOS_ALLOW_PLAIN_HTTP is for loopback only."""
    with pytest.raises(SettingsError, match="plain http"):
        vault_address(f"http://{host}:8200", allow_plain=True)
