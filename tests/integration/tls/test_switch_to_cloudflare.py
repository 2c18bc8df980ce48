"""From development certificates to Cloudflare in front: a real nginx, a Cloudflare that shows what it was given."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from fixtures.cloudflare import direct
from fixtures.edge import DEADLINE, Edge, edge_config, running
from nasos.cloudflare.dns import zone_by_id
from nasos.errors import CloudflareRefused, CloudflareUnreachable, Error, TlsError, UsageError
from nasos.settings import TlsSettings, load
from nasos.stack.binaries import find
from nasos.stack.home import Home
from nasos.stack.origin.issuer import OriginCa
from nasos.stack.origin.memory import NAME, PULLS, Stage, front, place, recall
from nasos.stack.origin.switch import Switch, stale
from nasos.stack.users import Users
from nasos.tls import nginx, pulls
from nasos.tls.chain import Chain
from simulators.bot_api import BotApi
from simulators.cloudflare import BROKEN, HTML, Cloudflare, Zone, failing

THERE, ELSEWHERE = "127.0.79.7", "127.0.80.1"


@dataclass
class Bench:
    """Everything that takes part."""

    home: Home
    edge: Edge
    simulated: Cloudflare
    zone: Zone
    said: list[str] = field(default_factory=list)
    proxied: bool = True
    """Whether the name leads through Cloudflare."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def check(self) -> None:
        """Of a `Front`: nginx's own test of what is known now."""
        config = replace(self.edge.config, cloudflare=front(self.home))
        conf = self.edge.directory / "nginx.conf"
        conf.write_text(nginx.render(config, nginx.inspect(self.edge.binary)))
        nginx.check(self.edge.binary, conf)

    def reload(self) -> bool:
        """Of a `Front`."""
        os.kill(self.edge.pid, signal.SIGHUP)
        return True

    def prove(self, chain: Chain) -> None:
        """Of a `Front`."""

    def asks(self, source: str, path: str, pair: bytes | None = None) -> int:
        """One request; 0: closed without an answer."""
        context = self.edge.context()
        if pair:
            file = self.home.root / "shown.pem"
            file.write_bytes(pair)
            context.load_cert_chain(file)
        try:
            with replace(self.edge, source=source).connect(context=context) as secure:
                connection = http.client.HTTPConnection("localhost", self.edge.port)
                connection.sock = secure
                connection.request("GET", path, headers={"CF-Connecting-IP": "203.0.113.9"})
                return connection.getresponse().status
        except (OSError, ssl.SSLError, http.client.HTTPException):
            return 0

    def reach(self, _host: str, path: str) -> None:
        """As Cloudflare asks: with what it was given, when it was told to show it."""
        active = [each for each in self.zone.pulls.values() if each["status"] == "active"]
        shown = (
            (active[-1]["certificate"] + active[-1]["private_key"]).encode() if active and self.zone.pulls_on else None
        )
        self.asks(THERE if self.proxied else ELSEWHERE, path, shown if self.proxied else None)

    def knock(self, _host: str, pair: pulls.Pulling, path: str) -> None:
        """As `EdgeFront` does."""
        self.asks("127.0.0.1", path, pair.certificate + pair.key.reveal().encode())

    @contextlib.contextmanager
    def way(self, **changes: object) -> Iterator[Switch]:
        """The way, from its beginning."""
        settings = replace(load({}, files=False), home=self.home.root, tls=TlsSettings(hosts=("bot.example.com",)))
        with direct(self.simulated) as client:
            way = Switch(
                home=self.home, settings=settings, client=client, zone=zone_by_id(client, self.zone.id), front=self,
                reach=self.reach, knock=self.knock, say=self.said.append, now=lambda: self.now,
                sleep=_poll,
            )  # fmt: skip
            yield replace(way, **changes)  # type: ignore[arg-type]

    def becomes(self, source: str, status: int) -> bool:
        """What it gets at the latest when nginx's old workers are gone."""
        deadline, seen = time.monotonic() + DEADLINE, 0
        while seen < 4:  # a reload resets connections, too
            seen = seen + 1 if self.asks(source, "/") == status else 0
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def gone(self) -> None:
        """The whole way."""
        with self.way() as way:
            way.begin()
            way.addresses()
            way.client_certificate()
            way.require()


def _poll(_seconds: float) -> None:
    """A moment: nginx writes its log after the answer, and starts new workers after a reload."""
    time.sleep(0.05)


@pytest.fixture
def bench(certificates: Path) -> Iterator[Bench]:
    """An edge of today, and a zone."""
    simulated = Cloudflare(ipv4=["127.0.79.0/24"])
    zone = simulated.add_zone("example.com")
    with tempfile.TemporaryDirectory(prefix="sw-") as state, BotApi(certificates) as bot:
        root = Path(state)
        root.chmod(0o755)
        home = Home(root, Users(separate=False))
        for directory in (root / "tls", root / "nginx"):
            directory.mkdir(mode=0o755)
        config = edge_config(certificates, root / "nginx", bot.port)
        with running(find("nginx"), config) as pid:
            edge = Edge(config, find("nginx"), bot, certificates / "ca.pem", pid)
            yield Bench(home, edge, simulated, zone)


def test_the_whole_way_and_a_second_time(bench: Bench) -> None:
    """At its end Cloudflare is answered, strangers are not; a second run changes nothing at Cloudflare."""
    assert bench.asks(ELSEWHERE, "/") == 200
    bench.gone()
    assert recall(bench.home).stage is Stage.REQUIRED
    assert bench.zone.pulls_on
    assert bench.becomes(ELSEWHERE, 0)
    assert bench.becomes(THERE, 0)
    assert bench.asks("127.0.0.1", "/") == 200
    [pull] = bench.zone.pulls.values()
    assert bench.asks(THERE, "/", (pull["certificate"] + pull["private_key"]).encode()) == 200
    done = len(bench.simulated.changes)
    bench.gone()
    assert len(bench.simulated.changes) == done
    kept = b"".join(
        path.read_bytes() for path in bench.home.root.rglob("*") if path.is_file() and "shown" not in path.name
    )
    assert pull["private_key"].encode() not in kept


def test_nothing_is_required_that_was_not_seen_to_work(bench: Bench) -> None:
    """A name that does not lead through Cloudflare keeps everybody's access, and says what to look at."""
    bench.proxied = False
    with pytest.raises(TlsError, match="without our client certificate, before it is required"):
        bench.gone()
    assert recall(bench.home).stage is Stage.ASKING
    assert bench.asks(ELSEWHERE, "/") == 200
    bench.proxied = True
    bench.gone()
    assert bench.becomes(ELSEWHERE, 0)


def test_what_fails_as_soon_as_it_is_required_is_taken_back(bench: Bench) -> None:
    """The same run notices, and lets people in again."""

    def reach(host: str, path: str) -> None:
        bench.zone.pulls_on = recall(bench.home).stage is Stage.ASKING
        bench.reach(host, path)

    with bench.way(reach=reach) as way:
        way.begin()
        way.addresses()
        way.client_certificate()
        with pytest.raises(TlsError, match="since it is required"):
            way.require()
    assert recall(bench.home).stage is Stage.ASKING
    assert bench.becomes(ELSEWHERE, 200)


@pytest.mark.parametrize("spoiled", [NAME, PULLS])
def test_a_damaged_memory_opens_nothing(bench: Bench, spoiled: str) -> None:
    """nginx is not told anything that would let strangers in: it goes on as it is, and the error names the file."""
    bench.gone()
    assert bench.becomes(ELSEWHERE, 0)  # nginx reads its files when it gets to it
    (place(bench.home) / spoiled).write_bytes(b"{") if spoiled == NAME else (place(bench.home) / spoiled).unlink()
    with pytest.raises(TlsError, match=spoiled):
        bench.check()
    assert bench.asks(ELSEWHERE, "/") == 0


def test_what_has_been_required_stays_so(bench: Bench) -> None:
    """A later run through a Cloudflare that fails says so, and opens the origin to nobody."""
    bench.gone()
    bench.zone.pulls_on = False
    with bench.way() as way, pytest.raises(TlsError, match="it stays required"):
        way.require()
    assert recall(bench.home).stage is Stage.REQUIRED
    assert bench.becomes(ELSEWHERE, 0)


def test_a_client_certificate_that_nears_its_end_is_replaced_without_a_gap(bench: Bench) -> None:
    """nginx trusts the new one before Cloudflare has it, and the old one until Cloudflare shows it no more."""
    bench.now -= pulls.LIFETIME - pulls.RENEW + timedelta(hours=1)
    bench.gone()
    [old] = list(bench.zone.pulls)
    trusted = (place(bench.home) / PULLS).read_bytes()
    bench.now = datetime.now(UTC)
    assert stale(recall(bench.home), bench.now)
    seen: list[int] = []
    bench.simulated.between = lambda: seen.append((place(bench.home) / PULLS).read_bytes().count(b"BEGIN"))
    with bench.way() as way:
        way.client_certificate()
    [new] = list(bench.zone.pulls)
    assert (new != old, max(seen), bench.zone.pulls[new]["status"]) == (True, 2, "active")
    assert (place(bench.home) / PULLS).read_bytes() not in (trusted, b"")
    assert not stale(structs.replace(recall(bench.home), fetched=bench.now), bench.now)


def test_somebody_elses_client_certificate_is_left_alone(bench: Bench) -> None:
    """Cloudflare shows one only."""
    shown = pulls.fresh(datetime.now(UTC))
    body = {"certificate": shown.certificate.decode(), "private_key": "theirs"}
    bench.simulated.handle(
        "POST", f"/zones/{bench.zone.id}/origin_tls_client_auth", {}, "Bearer " + "t" * 40, _json(body)
    )
    with bench.way() as way:
        way.begin()
        way.addresses()
        with pytest.raises(CloudflareRefused, match="somebody else's"):
            way.client_certificate()
    assert len(bench.zone.pulls) == 1
    assert recall(bench.home).stage is Stage.OPEN


def test_a_name_outside_the_zone_is_refused(bench: Bench) -> None:
    """Before anything is changed."""
    with bench.way() as way, pytest.raises(UsageError, match="not in the zone"):
        replace(way, settings=replace(way.settings, tls=TlsSettings(hosts=("bot.notexample.com",)))).begin()
    assert bench.simulated.changes == []


class Killed(BaseException):
    """As by the kernel."""


def _killing(after: int) -> Callable[[], None]:
    """Dies after so many answers."""
    left = [after]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return count


def test_killed_anywhere_it_is_run_again(bench: Bench) -> None:
    """After each of Cloudflare's answers in turn; the end is the same, with one certificate and one CA."""
    for after in range(12):
        bench.simulated.between = _killing(after)
        with contextlib.suppress(Killed), bench.way() as way:
            way.begin()
            way.addresses()
            way.client_certificate()
        bench.simulated.between = None
    bench.gone()
    assert len(bench.zone.pulls) == 1
    assert (place(bench.home) / PULLS).read_bytes().count(b"BEGIN") == 1
    assert bench.becomes(ELSEWHERE, 0)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("request_", ["POST .*auth", "PUT .*/settings", "GET .*auth", "GET /ips"])
def test_any_fault_is_said_or_got_over(bench: Bench, request_: str, *, after: bool) -> None:
    """And the next run ends where it should."""
    for fault in (failing(500), BROKEN, HTML):
        bench.simulated.fail_next(request_, fault, after=after)
        with contextlib.suppress(Error), bench.way() as way:
            way.begin()
            way.addresses()
            way.client_certificate()
        bench.simulated.faults.clear()
    with bench.way() as way:
        way.addresses()
        way.client_certificate()
    assert (len(bench.zone.pulls), bench.zone.pulls_on) == (1, True)


def test_a_certificate_whose_answer_was_lost_is_found(bench: Bench) -> None:
    """One is made, not two; one that was never made is said to be none; what is replaced is revoked, and once only."""
    from nasos.tls import names
    from nasos.tls.certificate import new_key, request

    csr = request(new_key(), "", names.hosts(["bot.example.com"]))
    with direct(bench.simulated) as client:
        issuer = OriginCa(client, zone_by_id(client, bench.zone.id))
        bench.simulated.fail_next("POST /certificates", BROKEN, after=True)
        pem = issuer.issue(csr, now=bench.now)
        assert len(bench.simulated.origin.certificates) == 1
        bench.simulated.fail_next("POST /certificates", BROKEN)
        with pytest.raises(TlsError, match="has no such certificate"):
            issuer.issue(request(new_key(), "", names.hosts(["bot.example.com"])), now=bench.now)
        issuer.retire(pem)
        issuer.retire(pem)
    assert bench.simulated.origin.certificates == {}


def test_what_is_known_of_cloudflare_stays_when_its_list_cannot_be_believed(bench: Bench) -> None:
    """An empty list closes nobody out."""
    with bench.way() as way:
        way.begin()
        way.addresses()
        before = recall(bench.home)
        bench.simulated.ipv4.clear()
        with pytest.raises(CloudflareUnreachable, match="the one known before stays"):
            way.addresses()
    assert recall(bench.home) == before


def _json(body: object) -> bytes:
    import json

    return json.dumps(body).encode()
