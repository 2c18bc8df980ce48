"""The keyring of a real server gets another term, by the rotator's own rights, and old data stays readable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fixtures.vault import VaultUnderTest
from nasos.errors import PermissionDenied
from nasos.stack.rotation.vault import Keyring
from nasos.vault import VaultClient


def allowed() -> None:
    """A fence that is open."""


@pytest.fixture
def client(vault: VaultUnderTest, request: pytest.FixtureRequest) -> Iterator[VaultClient]:
    """As the role that the test is about; the rotator by default."""
    client = VaultClient(vault.connection(getattr(request, "param", "rotator")), prefix="nasos")
    yield client
    client.close()


def test_a_new_term_is_proven_and_what_was_written_before_is_readable(client: VaultClient) -> None:
    """Twice, as after a lost answer: each time one term more, since now."""
    keyring = Keyring(client)
    for _ in range(2):
        before = keyring.since()
        term, readable = keyring.run(allowed)
        assert term.startswith("term ")
        assert "readable" in readable
        after = keyring.since()
        assert before
        assert after
        assert after > before


@pytest.mark.parametrize("client", ["app", "operator", "bot-nasos"], indirect=True)
def test_nobody_else_may(client: VaultClient) -> None:
    """Least privilege: not even the operator."""
    with pytest.raises(PermissionDenied):
        Keyring(client).run(allowed)
