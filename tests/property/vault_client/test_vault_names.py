"""Names and metadata: whatever is typed is refused or harmless."""

from __future__ import annotations

import posixpath
import shlex
import urllib.parse
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nasos.errors import NameRefused, UsageError
from nasos.secret import Secret
from nasos.vault.names import MOST_SEGMENTS, custom_metadata, field_values, folder_path, secret_path

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=UsageError)

ALLOWED = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", fullmatch=True)
TRICKY = st.text(st.sampled_from("ab./\\%?#*+ \n\r\0\u2028~$`'\";&|<>é\uff21\uff0e\uff0f"), max_size=12)


def accepted(rule: Callable[[T], R], value: T, refused: list[E]) -> R | None:
    """What the rule makes of a value; None when it refuses, and then the error is in the list."""
    try:
        return rule(value)
    except UsageError as error:
        refused.append(error)  # type: ignore[arg-type]  # the caller names the narrower class
        return None


@given(st.one_of(st.text(max_size=80), TRICKY))
@example("..")
@example("a/..")
@example("a/./b")
@example("\uff0e\uff0e/x")
def test_a_name_is_refused_or_means_itself_everywhere(text: str) -> None:
    """An accepted name is the same as a URL path, a file path, a shell word and a policy path."""
    refused: list[NameRefused] = []
    name = accepted(secret_path, text, refused)
    if name is None:
        assert "\n" not in refused[0].message
        return
    assert name == text
    assert urllib.parse.quote(name, safe="/") == name
    assert posixpath.normpath(name) == name
    assert shlex.quote(name) == name
    assert not set(name) & set("*+")


@given(st.lists(ALLOWED, min_size=1, max_size=MOST_SEGMENTS))
def test_every_name_of_the_alphabet_is_accepted(segments: list[str]) -> None:
    """The rule refuses nothing that it promises; a folder may end in a slash."""
    name = "/".join(segments)
    assert secret_path(name) == folder_path(name) == folder_path(f"{name}/") == name


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_fields_are_kept_or_refused_without_their_values(fields: dict[str, str]) -> None:
    """Accepted fields hold exactly what was given; a refusal names a field and shows no value."""
    marked = {name: f"canary-{value}" for name, value in fields.items()}
    refused: list[UsageError] = []
    values = accepted(field_values, marked, refused)
    if values is None:
        assert "canary-" not in f"{refused[0]}{refused[0].hint}"
        return
    assert {name: value.reveal() for name, value in values.items()} == marked


def test_a_secret_passes_as_it_is() -> None:
    """A field may be given as a Secret; anything else but text is a programming error."""
    secret = Secret("x")
    assert field_values({"a": secret})["a"] is secret
    with pytest.raises(TypeError):
        field_values({"a": 1})  # type: ignore[dict-item]


@given(st.dictionaries(st.text(max_size=140), st.text(max_size=520), max_size=3))
def test_metadata_is_kept_or_refused(custom: dict[str, str]) -> None:
    """What is accepted is one printable line each, within the server's limits."""
    kept = accepted(custom_metadata, custom, [])
    if kept is None:
        return
    assert kept == custom
    for key, value in kept.items():
        assert (key + value).isprintable()
        assert 0 < len(key.encode()) <= 128
        assert 0 < len(value.encode()) <= 512
