"""An Engine that has a thousand containers, and one that says more than anybody reads; played on a unix socket."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from fixtures.cloudflare import Clock, direct
from nasos.cloudflare import standing
from nasos.cloudflare.companion import Companion, Pace
from nasos.cloudflare.engine import Engine
from nasos.cloudflare.site import Site, rules_of, terms_of, zones_of
from nasos.cloudflare.stop import Stop
from nasos.ledger import Outcome
from nasos.settings import CloudflareSettings
from nasos.settings.cloudflare import CloudflareTable
from simulators.cloudflare import Cloudflare

FLOOD = b'{"Type":"container","Action":"start","id":"' + b"0" * 64 + b'"}\n'


@dataclass
class Played:
    """What it answers."""

    path: Path
    names: list[str] = field(default_factory=list)
    events: int = 0
    """Of these it speaks on each stream, and then ends it, as an Engine does whose reader is too slow."""


class Server(socketserver.ThreadingUnixStreamServer):
    """Where it answers."""

    daemon_threads = True

    def __init__(self, played: Played) -> None:
        self.played, self.ended = played, threading.Event()
        super().__init__(str(played.path), Asked)


class Asked(BaseHTTPRequestHandler):
    """One question to what is played."""

    server: Server

    def do_GET(self) -> None:
        """Events, or the list."""
        played = self.server.played
        if self.path.startswith("/events"):
            self.send_response(200)
            self.end_headers()
            for _ in range(played.events):
                self.wfile.write(FLOOD)
            self.wfile.flush()
            if not played.events:
                self.server.ended.wait(60)
            return
        listed = [
            {"Id": name * 8, "State": "running", "Names": [f"/{name}"], "Labels": {"cloudflare.subdomain": name}}
            for name in played.names
        ]
        body = json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """One connection."""
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked has had enough

    def finish(self) -> None:
        """Its end."""
        try:
            super().finish()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def address_string(self) -> str:
        """A unix socket has none."""
        return ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its parameter's name
        """Tests are quiet."""


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    """Answers while the test runs."""
    played = Played(tmp_path / "d.sock")
    with Server(played) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield played
        server.ended.set()
        server.shutdown()
        thread.join()


def companion(played: Played, simulated: Cloudflare, place: Path, clock: Clock) -> Companion:
    """One that follows it."""
    table = CloudflareTable(owner="home", target=("203.0.113.7",), zones=("example.com",))
    settings = CloudflareSettings(api_token=None, zone_id=None, table=table)

    def connect(_: Stop) -> Site:
        client = direct(simulated, clock=clock)
        zones = zones_of(client, settings)
        return Site(client, zones, rules_of(settings, zones), terms_of(settings, "home"), clock())

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        assert outcome is Outcome.OK, (event, target, detail)

    return Companion(Engine(played.path), connect, place, tell, Pace(), clock)


def test_a_thousand_containers_are_one_list_and_few_batches(
    played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record each, in batches of 200; one more container is one list and one batch, and an idle look is one list."""
    simulated, clock = Cloudflare(), Clock()
    zone = simulated.add_zone("example.com", plan="pro")
    monkeypatch.setattr(standing, "running", clock)
    played.names = [f"c{number}" for number in range(1000)]
    following = companion(played, simulated, tmp_path, clock)
    with Stop() as stop:
        following.round(stop)
        assert len(zone.records) == 1000
        assert len([line for line in simulated.requests if line.endswith("batch")]) == 5
        simulated.requests.clear()
        played.names.append("new")
        following.round(stop)
        assert [line.split("/")[-1] for line in simulated.requests] == ["dns_records", "batch"]
        simulated.requests.clear()
        clock.now += 61
        following.round(stop)
        assert [line.split("/")[-1] for line in simulated.requests] == ["dns_records"]
    following.feed.close()


def test_a_stream_that_overflows_and_ends_only_means_look(played: Played) -> None:
    """Fifty thousand events that nobody reads: a hint, whatever was lost; the next look is whole, on a new stream."""
    played.names, played.events = ["a"], 50_000
    engine = Engine(played.path)
    with Stop() as stop:
        assert [each.name for each in engine.look()] == ["a"]
        played.names = ["a", "b"]
        hints = 0
        while engine._events is not None:
            assert engine.hinted(60, stop)
            hints += 1
        assert 0 < hints < 50_000
        played.events = 0
        assert [each.name for each in engine.look()] == ["a", "b"]
        assert not engine.hinted(0.05, stop)
    engine.close()
