"""Each fault, on each request that is ever made, before and after it is carried out."""

from __future__ import annotations

import ast
import gzip
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nasos
from fixtures.cloudflare import Clock
from fixtures.cloudflare_operations import OPERATIONS, World, endpoint, pattern
from nasos.cloudflare import client as client_
from nasos.cloudflare import wire
from nasos.cloudflare.client import Client, Manner
from nasos.errors import ChangeUnknown, CloudflareError, CloudflareUnreachable
from nasos.secret import Secret
from simulators.cloudflare import BROKEN, HTML, Reply, busy, failing, failure
from simulators.raw_server import Step, answer, raw_server

SOURCE = Path(nasos.__file__).parent
PLACES = ("cloudflare", "cli/cloudflare", "stack/origin")
ASKING = ("read", "change", "every", "permitted", "verify")
PAGE = b"<html><body>%d</body></html>"
LOST = {
    "500": failing(500), "502": Reply(502, raw=PAGE % 502), "503": Reply(503, raw=PAGE % 503), "broken": BROKEN,
    "html": HTML, "malformed": Reply(200, raw=b"{'success': yes}"), "cut": Reply(200, raw=b'{"success": true, "res'),
}  # fmt: skip
"""What leaves open whether a change was made."""
REFUSED = {
    "429": busy("1"), "five-minutes": busy("300"), "unknown-code": Reply(400, failure((987654, "Something else"))),
}  # fmt: skip
"""What says that it was not; it is never the answer to a change that was made."""
FAULTS = [(name, reply, after) for after in (False, True) for name, reply in LOST.items()] + [
    (name, reply, False) for name, reply in REFUSED.items()
]


@cache
def endpoints(name: str) -> tuple[str, ...]:
    """All that an operation asks for, and what it asks for only when an answer was lost."""
    world = world_of(name)
    with world.client() as client:
        OPERATIONS[name].run(client, world)
    return tuple(dict.fromkeys(endpoint(line) for line, _ in world.sent))


def world_of(name: str) -> World:
    """One that is ready for it."""
    world = World()
    OPERATIONS[name].prepare(world)
    return world


def call_sites() -> Iterator[tuple[str, int, int]]:
    """Where the code asks Cloudflare: file, first and last line."""
    for place in PLACES:
        for path in sorted((SOURCE / place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ASKING:
                    asked = ast.unparse(node.func.value)
                    if asked in {"client", "self.client"}:
                        yield str(path), node.lineno, node.end_lineno or node.lineno


def test_every_place_that_asks_cloudflare_has_its_faults_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """By running all operations: a new request without an operation in the table below fails this test."""
    reached: set[tuple[str, int]] = set()
    for asking in ASKING:
        original = getattr(Client, asking)

        def seen(*args: Any, _original: Any = original, **more: Any) -> Any:
            frame = sys._getframe(1)
            reached.add((frame.f_code.co_filename, frame.f_lineno))
            return _original(*args, **more)

        monkeypatch.setattr(Client, asking, seen)
    for name in OPERATIONS:
        world = world_of(name)
        with world.client() as client:
            OPERATIONS[name].run(client, world)
    sites = list(call_sites())
    missed = [
        str(Path(path).relative_to(SOURCE))
        for path, first, last in sites
        if not any(file == path and first <= line <= last for file, line in reached)
    ]
    assert missed == ["cli/cloudflare/commands.py"]  # `status` asks for the token's state, as `examine` does
    assert len(sites) > 20


def test_the_endpoints_are_those_that_we_know_of() -> None:
    """So that none gets out of the list unseen."""
    assert {each for name in OPERATIONS for each in endpoints(name)} >= {
        "GET /zones", "GET /zones/*", "GET /zones/*/dns_records", "POST /zones/*/dns_records/batch",
        "GET /zones/*/settings", "PATCH /zones/*/settings/ssl", "PATCH /zones/*/settings/security_header",
        "GET /zones/*/rulesets/phases/http_ratelimit/entrypoint", "POST /zones/*/rulesets",
        "POST /zones/*/rulesets/*/rules", "PATCH /zones/*/rulesets/*/rules/*", "DELETE /zones/*/rulesets/*/rules/*",
        "GET /certificates", "POST /certificates", "DELETE /certificates/*", "GET /zones/*/origin_tls_client_auth",
        "POST /zones/*/origin_tls_client_auth", "DELETE /zones/*/origin_tls_client_auth/*",
        "GET /zones/*/origin_tls_client_auth/settings", "PUT /zones/*/origin_tls_client_auth/settings", "GET /ips",
        "GET /user/tokens/verify", "GET /accounts/*/tokens/verify", "GET /accounts/*/members", "GET /user/tokens",
    }  # fmt: skip


BOMB = gzip.compress(b" " * (8 << 20))
"""Megabytes of nothing in a few bytes."""


@pytest.mark.parametrize(
    "step",
    [
        answer(BOMB, extra="Content-Encoding: gzip\r\n"),
        answer(b" " * (3 << 20)),
        answer(b"not gzip at all", extra="Content-Encoding: gzip\r\n"),
        lambda _: None,
    ],
    ids=["gzip-bomb", "huge", "broken-gzip", "silence"],
)
def test_an_answer_that_does_not_end_or_does_not_come_is_none(monkeypatch: pytest.MonkeyPatch, step: Step) -> None:
    """Over a real connection: a read says so, and a change says that it may have been made; it is sent once."""
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    monkeypatch.setattr(client_, "BACKOFF", ())
    manner = Manner(seconds=1.0)
    with (
        raw_server([step]) as server,
        Client(Secret("t" * 40), server.address, manner) as client,
        pytest.raises(CloudflareUnreachable),
    ):
        client.read("/zones/1", object)
    with raw_server([step]) as server, Client(Secret("t" * 40), server.address, manner) as client:
        with pytest.raises(ChangeUnknown):
            client.change("POST", "/zones/1/dns_records", object, {})
        assert len(server.requests) == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_fault_on_any_endpoint_ends_as_without_it(name: str) -> None:
    """At the latest in the next run, with nothing made twice, and nobody else's things touched."""
    operation, calm = OPERATIONS[name], world_of(name)
    before = calm.foreign()
    with calm.client() as client:
        expected = operation.run(client, calm)
    for asked in endpoints(name):
        for fault, reply, after in FAULTS:
            world = world_of(name)
            world.simulated.fail_next(pattern(asked), reply, after=after)
            with world.client() as client:
                first: object = None
                try:
                    first = operation.run(client, world)
                except CloudflareError:
                    first = operation.run(client, world)
                if first != expected:  # what was refused was said; the next run does it
                    first = operation.run(client, world)
            where = (asked, fault, after)
            assert world.simulated.faults == [], where
            assert first == expected, where
            assert world.state() == calm.state(), where
            assert world.foreign() == before, where


def test_five_minutes_are_waited_and_not_slept_through() -> None:
    """By the simulated clock: once for each time that Cloudflare asked."""
    for name in ("records", "zone", "upload"):
        for asked in endpoints(name):
            world, clock = world_of(name), Clock()
            world.simulated.fail_next(pattern(asked), busy("300"))
            client = world.client()
            client._manner = clock.manner
            OPERATIONS[name].run(client, world)
            assert clock.slept == [300.0], asked
