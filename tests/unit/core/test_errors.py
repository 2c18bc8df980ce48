from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import nasos
from nasos import errors
from nasos.errors import Error

SOURCE = Path(nasos.__file__).parent


def drawn() -> dict[str, tuple[str, int | None]]:
    """Name -> (parent, exit code if drawn) as the module's docstring draws the tree."""
    stack: list[str] = []
    tree: dict[str, tuple[str, int | None]] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ((?:│   |    |├── |└── )*)([A-Z][A-Za-z]+)(?:\s+(\d)\b)?", line)
        if not match:
            continue
        depth = len(match[1]) // 4
        stack[depth:] = [match[2]]
        tree[match[2]] = (stack[depth - 1] if depth else "Exception", int(match[3]) if match[3] else None)
    return tree


def classes() -> dict[str, type[Error]]:
    """Every error class of the module."""
    return {
        name: each
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, Error) and each.__module__ == errors.__name__
    }


def test_the_drawn_tree_is_the_real_one() -> None:
    """Every class is drawn under its parent, and nothing is drawn that does not exist."""
    assert {name: parent for name, (parent, _) in drawn().items()} == {
        name: each.__bases__[0].__name__ for name, each in classes().items()
    }


def test_the_drawn_exit_codes_are_the_real_ones() -> None:
    """The codes beside the names hold."""
    for name, (_, code) in drawn().items():
        if code is not None:
            assert classes()[name].exit_code == code, name


def test_only_usage_errors_exit_with_two() -> None:
    """2 means that the operator's input is wrong; everything else that raises could not do or tell."""
    for name, each in classes().items():
        assert each.exit_code == (2 if issubclass(each, errors.UsageError) else 3), name


def test_an_error_has_a_message_and_a_hint() -> None:
    """The message is the text; the hint is beside it."""
    error = errors.VaultSealed("vault is sealed", "nasos vault unseal")
    assert str(error) == error.message == "vault is sealed"
    assert error.hint == "nasos vault unseal"
    assert Error("no hint").hint is None


def raised_texts() -> list[tuple[str, str]]:
    """Place and first literal of every ``raise SomeError("...")`` of ours in the source."""
    pattern = re.compile(r"raise (\w+)\(\s*f?\"((?:[^\"\\]|\\.)+)\"")
    names = set(classes())
    return [
        (f"{path.relative_to(SOURCE)}:{text[: found.start()].count(chr(10)) + 1}", found[2])
        for path in sorted(SOURCE.rglob("*.py"))
        for text in [path.read_text()]
        for found in pattern.finditer(text)
        if found[1] in names
    ]


def test_messages_are_lower_case_without_a_full_stop() -> None:
    """The house's voice: lower case (names and paths apart), no full stop, no exclamation mark."""
    texts = raised_texts()
    assert len(texts) > 20
    wrong = [
        (place, text)
        for place, text in texts
        if text.rstrip().endswith((".", "!"))
        or (text[0].isupper() and not re.match(r"[A-Z0-9_]{2,}|[A-Z]\w*[A-Z]|PostgreSQL|RoleID|Cloudflare", text))
    ]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(classes()))
def test_every_error_can_be_caught_as_error(name: str) -> None:
    """One root: whoever catches Error catches all of ours, with message and hint intact."""
    with pytest.raises(Error) as caught:
        raise classes()[name]("it went wrong", "type this")
    assert (caught.value.message, caught.value.hint) == ("it went wrong", "type this")
