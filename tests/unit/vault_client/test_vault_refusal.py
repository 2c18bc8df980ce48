"""Status and words of a refusal, both servers' dialects, become the right error; values are cleaned out."""

from __future__ import annotations

import pytest

from nasos import errors
from nasos.secret import Secret
from nasos.vault.refusal import Confidential, refusal, token_unknown

WITH_TOKEN = Confidential(None, Secret("s.0123456789abcdefghijklmn"))


@pytest.mark.parametrize(
    ("method", "status", "said", "kind"),
    [
        ("GET", 307, [], errors.VaultStandby),
        ("GET", 400, ["check-and-set parameter did not match the current version"], errors.CheckAndSetMismatch),
        ("POST", 400, ["check-and-set parameter required for this call"], errors.CheckAndSetMismatch),
        ("POST", 400, ["invalid role or secret ID"], errors.CredentialRejected),
        ("POST", 400, ["invalid secret id"], errors.CredentialRejected),
        ("POST", 400, ["wrapping token is not valid or does not exist"], errors.CredentialRejected),
        ("POST", 400, ["something else"], errors.VaultRefused),
        ("POST", 400, ["Vault is not initialized"], errors.VaultUninitialized),
        ("GET", 403, ["permission denied"], errors.CredentialRejected),
        ("GET", 403, ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"], errors.CredentialRejected),
        ("GET", 403, ["1 error occurred:\n\t* permission denied\n\n"], errors.PermissionDenied),
        ("GET", 404, [], errors.SecretNotFound),
        ("GET", 404, ['no handler for route "kv/data/x". route entry not found.'], errors.VaultRefused),
        ("GET", 405, ["unsupported operation"], errors.VaultRefused),
        ("GET", 412, ["required index state not present"], errors.VaultStandby),
        ("POST", 413, [], errors.TooLarge),
        ("GET", 429, [], errors.RateLimited),
        ("GET", 472, [], errors.VaultStandby),
        ("GET", 473, [], errors.VaultStandby),
        ("GET", 501, [], errors.VaultUninitialized),
        ("GET", 503, ["Vault is sealed"], errors.VaultSealed),
        ("GET", 503, [], errors.VaultUnreachable),
        ("POST", 503, [], errors.VaultUnreachable),
        ("GET", 500, ["internal error"], errors.VaultUnreachable),
        ("LIST", 502, [], errors.VaultUnreachable),
        ("POST", 500, ["internal error"], errors.OutcomeUnknown),
        ("DELETE", 504, [], errors.OutcomeUnknown),
        ("GET", 500, ["local node not active but active cluster node not found"], errors.VaultStandby),
        ("POST", 500, ["put failed due to value being too large; got 156 bytes, max 1048576 bytes"], errors.TooLarge),
    ],
)
def test_each_no_has_its_type(method: str, status: int, said: list[str], kind: type[errors.VaultError]) -> None:
    """The table of what OpenBao 2.7 (measured) and HashiCorp Vault (its source) say."""
    error = refusal(method, "kv/data/x", status, said, WITH_TOKEN)
    assert type(error) is kind
    assert error.message[0].islower()
    assert not error.message.endswith(".")


def test_without_a_token_a_403_is_a_denial() -> None:
    """Nobody's token is dead when none was sent."""
    assert type(refusal("POST", "auth/approle/login", 403, ["permission denied"])) is errors.PermissionDenied


@pytest.mark.parametrize(
    ("method", "capability"),
    [("GET", "read"), ("LIST", "list"), ("POST", "create or update"), ("PUT", "create or update"),
     ("PATCH", "patch"), ("DELETE", "delete")],
)  # fmt: skip
def test_a_denial_names_capability_and_path(method: str, capability: str) -> None:
    """The word is the one that a policy uses."""
    error = refusal(method, "kv/data/nasos/x", 403, ["1 error occurred:\n\t* permission denied\n\n"])
    assert str(error) == f"vault denied {capability} on kv/data/nasos/x"


def test_quoted_words_are_cleaned_of_everything_confidential() -> None:
    """Secrets at any depth, long plain strings and the token are redacted; names stay readable."""
    body = {"a": {"b": [Secret("canary-one")]}, "type": "approle", "key": "a-plain-but-long-key-value"}
    sent = Confidential(body, Secret("s.0123456789abcdefghijklmn"))
    said = "approle says canary-one a-plain-but-long-key-value s.0123456789abcdefghijklmn"
    assert sent.clean(said) == "approle says [redacted] [redacted] [redacted]"


def test_an_answer_with_a_very_short_value_is_withheld() -> None:
    """A value too short to replace without garbling hides the whole text; otherwise the text is shown."""
    assert Confidential({"v": Secret("q7")}).clean("bad value q7") == "(answer withheld)"
    assert Confidential({"v": Secret("q7")}).clean("bad value") == "bad value"


def test_a_long_answer_is_cut() -> None:
    """A server's page of text does not flood the terminal."""
    assert len(str(refusal("GET", "x", 400, ["y" * 5000]))) < 400


def test_only_a_403_can_mean_a_dead_token() -> None:
    """The same words with another status do not."""
    assert not token_unknown(400, ["permission denied"])
    assert token_unknown(403, ["permission denied"])
