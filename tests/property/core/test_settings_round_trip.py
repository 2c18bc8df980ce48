from __future__ import annotations

import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasos.errors import SettingsError
from nasos.settings import ENVIRONMENT_KEYS, Settings, Token, load, parse_document, vault_address

ADDRESS = "VAULT_ADDR=https://v:8200\n"
LINE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=80)
TOKENS = LINE.filter(lambda text: text.strip() == text and text != "")


def from_env(text: str) -> Settings:
    """Settings from a .env with this content, private, in a directory of its own."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / ".env"
        path.touch(mode=0o600)
        path.write_bytes(text.encode())
        return load({"NASOS_PROJECT": name}, Path(name))


def token(settings: Settings) -> str | None:
    """The token that was read."""
    credential = settings.vault_connection and settings.vault_connection.credential
    return credential.value.reveal() if isinstance(credential, Token) else None


@given(value=TOKENS, quote=st.sampled_from(["'", '"']), after=st.sampled_from(["", "  ", " # comment", "\r"]))
def test_a_quoted_value_comes_back_exactly(value: str, quote: str, after: str) -> None:
    """Whatever stands between quotes is the value, to the last character."""
    value = value.replace(quote, "")
    expected = value.strip() or None
    assert token(from_env(f"{ADDRESS}VAULT_TOKEN={quote}{value}{quote}{after}\n")) == expected


@given(value=st.text(string.ascii_letters + string.digits + "._-=+/:@#$%&{}\\", min_size=1, max_size=80))
def test_an_unquoted_value_comes_back_exactly(value: str) -> None:
    """Values without blanks and quotes need no quotes; one that starts with # is a comment."""
    assert token(from_env(f"{ADDRESS}VAULT_TOKEN={value}\n")) == (None if value.startswith("#") else value)


@given(text=st.text(max_size=200), secret=st.text(string.ascii_letters, min_size=12, max_size=20))
def test_any_env_is_read_or_refused_without_its_values(text: str, secret: str) -> None:
    """Arbitrary text never ends in another exception, and no refusal quotes a value."""
    try:
        from_env(f"VAULT_TOKEN='{secret}'\n{text.replace(secret, '')}={secret}\n'{secret}")
    except SettingsError as error:
        said = f"{error!r}{error.message}{error.hint}"
    else:
        said = ""
    assert secret not in said


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_toml_is_read_or_refused(content: bytes) -> None:
    """Arbitrary bytes in nasos.toml never end in another exception than SettingsError."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "nasos.toml"
        path.write_bytes(content)
        said = str(path)
        try:
            parse_document(path)
        except SettingsError as error:
            said = error.message
    assert str(path) in said


@given(text=st.text(max_size=60) | st.text("htps:/@?#[]:.1av%\\ ", max_size=30).map("https://".__add__))
def test_an_accepted_address_is_nothing_but_scheme_host_and_port(text: str) -> None:
    """Whatever is accepted has no user, path, query or blank; the rest is refused."""
    try:
        clean = vault_address(text)
    except SettingsError:
        return
    assert clean.startswith("https://")
    rest = clean.removeprefix("https://")
    assert rest
    assert not set(rest) & set("@/?# \\\t\r\n")


@given(
    name=st.sampled_from(sorted(ENVIRONMENT_KEYS)),
    at=st.integers(0, 30),
    letter=st.sampled_from(string.ascii_uppercase),
)
def test_a_misspelt_name_of_ours_is_never_ignored(name: str, at: int, letter: str) -> None:
    """One wrong letter in a known name is refused with a suggestion, or is another known name."""
    at = 6 + at % (len(name) - 6)
    misspelt = name[:at] + letter + name[at + 1 :]
    if misspelt in ENVIRONMENT_KEYS or not misspelt.startswith(("NASOS_", "VAULT_", "CLOUDFLARE_")):
        return
    with pytest.raises(SettingsError, match=misspelt) as caught:
        from_env(f"{misspelt}=x\n")
    assert caught.value.hint
