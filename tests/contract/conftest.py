"""Both stores, each with a folder of the test's own; a simulated Cloudflare."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from fixtures.stores import Place, session_of
from fixtures.vault import VaultUnderTest
from nasos.vault.kv import KvStore
from nasos.vault.memory import MemoryStore
from nasos.vault.session import Session
from simulators.cloudflare import Cloudflare, Zone


def pytest_addoption(parser: pytest.Parser) -> None:
    """A third party's rotator, for the contract suite alone."""
    parser.addoption("--rotator", metavar="MODULE:FUNCTION", help="a function that makes a fixtures.rotators.Target")


@pytest.fixture
def folder() -> str:
    """A folder that no other test uses."""
    return f"nasos/app/{secrets.token_hex(6)}"


@pytest.fixture
def as_role(vault: VaultUnderTest) -> Iterator[Callable[[str], Session]]:
    """A session of a service; its token is revoked at the end."""
    made: list[Session] = []

    def make(role: str) -> Session:
        made.append(session_of(vault.connection(role)))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture(params=["memory", "openbao"])
def place(request: pytest.FixtureRequest, folder: str) -> Place:
    """The same tests on the store in memory and on the real one, as the role `app`."""
    if request.param == "memory":
        return Place(MemoryStore(), folder)
    as_role: Callable[[str], Session] = request.getfixturevalue("as_role")
    return Place(KvStore(as_role("app")), folder)


@pytest.fixture
def simulated() -> Cloudflare:
    """Two zones, and records of every kind that ours have to live with."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    simulated.add_zone("example.org", plan="pro", status="pending")
    simulated.add(zone, "A", "www", "203.0.113.7", proxied=True, comment="by hand")
    simulated.add(zone, "TXT", "@", "v=spf1 -all")
    simulated.add(zone, "CNAME", "docs", "docs.example.net", ttl=300)
    return simulated


@pytest.fixture
def zone(simulated: Cloudflare) -> Zone:
    """The first of them."""
    return next(iter(simulated.zones.values()))
