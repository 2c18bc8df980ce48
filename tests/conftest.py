"""Every suite's shared ground: a clean environment per test, the session's real servers, and who runs what."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

import lanes

# Nothing here is a matter of pace: the machine may be busy.
settings.register_profile("any pace", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any pace")

pytest_plugins = ["fixtures.vault", "fixtures.stack", "fixtures.postgres", "fixtures.pebble", "fixtures.behind"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """What may be asked of a run."""
    parser.addoption("--shots", help="directory in which tests in a browser keep pictures of what they saw")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own Vault, Cloudflare or nasos settings."""
    for name in list(os.environ):
        if name.startswith(("NASOS_", "VAULT_", "BAO_", "CLOUDFLARE_", "FREQTRADE_")):
            monkeypatch.delenv(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=lanes.place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> lanes.Lanes:
    """What belongs together stays together."""
    return lanes.Lanes(config, log)


@pytest.hookimpl(trylast=True)  # the reporter registers itself in this hook
def pytest_configure(config: pytest.Config) -> None:
    """Name failures at once, in the process that prints."""
    if (reporter := config.pluginmanager.get_plugin("terminalreporter")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(lanes.FailuresAtOnce(reporter))
