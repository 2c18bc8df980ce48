"""Tokens for machines: what they open, until when, and that a scanner would find a lost one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nasos.errors import TokenRefused, UsageError
from nasos.gateway import opaque
from nasos.gateway.access import Role
from nasos.gateway.api_tokens import KEPT, LONGEST, ApiToken, ApiTokens, Scope
from nasos.secret import REDACTED, Redactor, Secret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
END = NOW + timedelta(days=90)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[ApiTokens]:
    """Those of a gateway that starts for the first time."""
    made = ApiTokens.open(tmp_path / "gateway.db")
    yield made
    made.close()


def create(tokens: ApiTokens, name: str = "script", **other: Any) -> tuple[ApiToken, Secret]:
    """One for the bot `nasos`."""
    usual: dict[str, Any] = {"user": "ann", "now": NOW, "ends": END}
    scope = other.pop("scope", Scope(Role.VIEWER, ("nasos",)))
    return tokens.create(name, scope, **{**usual, **other})


def why(tokens: ApiTokens, token: Secret | str, bot: str = "nasos", now: datetime = NOW) -> str:
    """Why it is refused; empty when it is not."""
    try:
        tokens.check(token if isinstance(token, Secret) else Secret(token), bot=bot, now=now)
    except TokenRefused as refused:
        return str(refused)
    return ""


def test_it_opens_its_bots_with_its_role_until_its_end(tokens: ApiTokens) -> None:
    """And nothing else: another bot, a later day."""
    made, token = create(tokens, scope=Scope(Role.TRADER, ("nasos", "second")))
    assert tokens.check(token, bot="second", now=NOW) == made
    assert made.scope.role is Role.TRADER
    assert "other bots" in why(tokens, token, "third")
    assert why(tokens, token, now=END - timedelta(seconds=1)) == ""
    assert "has ended" in why(tokens, token, now=END)


def test_revoked_is_revoked_at_the_next_request(tokens: ApiTokens, tmp_path: Path) -> None:
    """By another process too, and for all of a user's tokens when he loses his role."""
    (one, first), (_, second), (_, other) = create(tokens, "a"), create(tokens, "b"), create(tokens, "c", user="bob")
    command = ApiTokens.open(tmp_path / "gateway.db")
    assert command.revoke(one.id, NOW)
    assert not command.revoke(one.id, NOW)
    assert "was revoked" in why(tokens, first)
    assert why(tokens, second) == ""
    assert tokens.revoke_all("ann", NOW) == 1
    assert "was revoked" in why(tokens, second)
    assert why(tokens, other) == ""
    command.close()


def test_a_scanner_for_leaked_secrets_finds_it_and_so_does_our_redactor() -> None:
    """A prefix of its own, one length, and a checksum that an example in a text does not have."""
    token = opaque.assembled(opaque.API, opaque.random_text(opaque.RANDOM)).reveal()
    assert re.fullmatch(r"nasos_[0-9A-Za-z]{49}", token)
    assert Redactor().redact(f"curl -H 'Authorization: Bearer {token}' https://bot") == (
        f"curl -H 'Authorization: Bearer {REDACTED}' https://bot"
    )
    refresh = opaque.assembled(opaque.REFRESH, opaque.random_text(opaque.RANDOM)).reveal()
    assert Redactor().redact(f"x={refresh};") == f"x={REDACTED};"
    for place in range(6, len(token)):
        other = token[:place] + ("x" if token[place] != "x" else "y") + token[place + 1 :]
        assert opaque.random_part(other, opaque.API) is None


def test_the_checksum_is_the_one_that_the_page_names() -> None:
    """CRC-32 of the 43 characters in base 62, most significant digit first."""
    assert opaque.assembled(opaque.API, "0" * 43).reveal() == "nasos_" + "0" * 43 + "2CZclj"


@pytest.mark.parametrize("text", ["", "nasos_", "nasos_x", "nasos_" + "0" * 49, "\ud800", "x" * 10**6, "Bearer nasos_"])
def test_what_is_no_token_is_refused(tokens: ApiTokens, text: str) -> None:
    """Rubbish, without a look into the file; a well-formed one that nobody knows, with one."""
    assert why(tokens, text) == "no API token"
    stranger = opaque.assembled(opaque.API, opaque.random_text(43))
    assert "nobody knows" in why(tokens, stranger)
    refresh = opaque.assembled(opaque.REFRESH, opaque.random_text(43))
    assert why(tokens, refresh) == "no API token"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("", {}), ("a b", {}), ("../x", {}), ("x" * 65, {}), ("a\n", {}), ("ok", {"scope": Scope(Role.ADMIN, ())}),
        ("ok", {"scope": Scope(Role.ADMIN, ("a b",))}), ("ok", {"ends": NOW}), ("ok", {"ends": NOW + LONGEST * 2}),
        ("ok", {"ends": NOW - timedelta(days=1)}),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tokens: ApiTokens, name: str, other: dict[str, Any]) -> None:
    """No bot, no end, an endless one, an odd name: a clear word and what to type."""
    with pytest.raises(UsageError) as refused:
        create(tokens, name, **other)
    assert refused.value.hint
    assert tokens.alive(NOW) == []


def test_a_name_is_taken_as_long_as_its_token_lives(tokens: ApiTokens) -> None:
    """Two of one name would be one too many to revoke; after the end the name is free."""
    made, _ = create(tokens)
    with pytest.raises(UsageError, match="already"):
        create(tokens)
    tokens.revoke(made.id, NOW)
    create(tokens)
    create(tokens, now=END, ends=END + timedelta(days=1))


def test_neither_list_nor_file_holds_a_token(tokens: ApiTokens, tmp_path: Path) -> None:
    """The list shows who made it, for what, until when."""
    made, token = create(tokens)
    assert tokens.alive(NOW) == [made]
    assert tokens.alive(END) == []
    assert made.id == opaque.fingerprint(token)
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert token.reveal()[6:49].encode() not in content
    assert token.reveal()[6:49] not in repr(made)


def test_what_can_matter_no_more_is_forgotten(tokens: ApiTokens) -> None:
    """A month after its end it is as if it had never been."""
    _, token = create(tokens)
    assert tokens.tidy(END + KEPT) == 0
    assert tokens.tidy(END + KEPT + timedelta(seconds=1)) == 1
    assert "nobody knows" in why(tokens, token)
