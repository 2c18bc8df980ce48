"""An API key as it is given on standard input."""

from __future__ import annotations

import io
import sys

import pytest

from nasos.cli.rotate.pasted import LONGEST, pasted
from nasos.errors import UsageError
from nasos.secret import Secret

TWO = ("api_key", "secret")
THREE = ("api_key", "secret", "password")


def given(monkeypatch: pytest.MonkeyPatch, text: str, wanted: tuple[str, ...] = TWO) -> dict[str, Secret]:
    """What is understood of a text."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return pasted(wanted)


@pytest.mark.parametrize(
    "text", ["abc\ndef\n", " abc \r\ndef", '{"api_key": "abc", "secret": "def"}', '{"key": "abc", "secret": "def\\n"}']
)
def test_lines_and_json_are_understood(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With blanks round them, and under freqtrade's other names."""
    assert given(monkeypatch, text) == {"api_key": Secret("abc"), "secret": Secret("def")}


def test_a_third_line_is_the_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the exchange has one, and missed where it is not given."""
    assert given(monkeypatch, "a\nb\nc", THREE)["password"] == Secret("c")
    with pytest.raises(UsageError, match="no password"):
        given(monkeypatch, "a\nb", THREE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no api_key"),
        ("only-one-line", "no secret"),
        ('{"api_key": "hidden-value"}', "no secret"),
        ('{"api_key": 7}', "no JSON object of texts"),
        ('{"hidden-value', "no JSON object of texts"),
        ('{"api_key": "a", "secret": "b", "hidden-value": "c"}', "a field that freqtrade does not know"),
        ("x" * (LONGEST + 1), "too long"),
    ],
)
def test_what_is_not_understood_is_named_and_never_quoted(
    monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    """A slip of the clipboard may hold anything."""
    with pytest.raises(UsageError, match=words) as error:
        given(monkeypatch, text)
    assert "hidden-value" not in f"{error.value} {error.value.hint}"
