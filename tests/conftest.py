"""Every suite's shared ground: a clean environment per test, and the session's real servers."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["fixtures.vault", "fixtures.stack", "fixtures.postgres"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own Vault, Cloudflare or nasos settings."""
    for name in list(os.environ):
        if name.startswith(("NASOS_", "VAULT_", "BAO_", "CLOUDFLARE_", "FREQTRADE_")):
            monkeypatch.delenv(name)
