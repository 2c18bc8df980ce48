"""The edge's certificate by ACME: a real CA, a real nginx; renewed, proven, taken back, and tried again on bad days."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from msgspec import structs

from fixtures.edge import DEADLINE, edge_config, running
from fixtures.pebble import Pebble
from nasos.errors import IssuerBusy, IssuerRefused, IssuerUnreachable, TlsError
from nasos.ledger import named
from nasos.settings import AcmeSettings, Settings, TlsSettings, load
from nasos.stack.acme import maker
from nasos.stack.binaries import find
from nasos.stack.edge_certificate import EdgeCertificate, Why
from nasos.stack.home import Home
from nasos.stack.users import Users
from nasos.tls import Standing, State, attempts, issue_all, nginx, standings
from nasos.tls.chain import Chain
from nasos.tls.trust import edge_pairs
from simulators.acme_between import Answer, Between
from simulators.bot_api import BotApi

HOST = "bot.example.org"


@dataclass
class Nginx:
    """A `Front`: a real nginx whose configuration names the live pair."""

    directory: Path
    port: int
    pid: int
    refuses: str = ""
    """Spoils its configuration, as a hand at it would."""
    deaf: bool = False
    """It gets no signal."""
    shown: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Its own test."""
        conf = self.directory / "nginx.conf"
        if self.refuses:
            (self.directory / "spoiled.conf").write_text(conf.read_text() + self.refuses)
            nginx.check(find("nginx"), self.directory / "spoiled.conf")
        nginx.check(find("nginx"), conf)

    def reload(self) -> bool:
        """HUP."""
        if not self.deaf:
            os.kill(self.pid, signal.SIGHUP)
        return True

    def prove(self, chain: Chain) -> None:
        """Compare what is on the wire."""
        deadline = time.monotonic() + (1 if self.deaf else DEADLINE)
        while self.serial() != chain.leaf.serial_number:
            if time.monotonic() > deadline:
                raise TlsError("nginx goes on showing another certificate")
            time.sleep(0.05)

    def serial(self) -> int:
        """Of the certificate that it shows."""
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), DEADLINE) as plain,
            blind.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
            assert shown
            return x509.load_der_x509_certificate(shown).serial_number


class Stopped:
    """A `Front`: nothing runs."""

    def check(self) -> None:
        """Nobody to ask."""

    def reload(self) -> bool:
        """Nobody to tell."""
        return False

    def prove(self, chain: Chain) -> None:
        """Never asked for."""
        raise AssertionError(chain)


@dataclass
class Bench:
    """A stack's home with a CA, a clock that can be set, and perhaps an nginx."""

    home: Home
    pebble: Pebble
    front: Nginx | Stopped = field(default_factory=Stopped)
    directory: str = ""
    ahead: timedelta = timedelta()

    @property
    def settings(self) -> Settings:
        """As ``nasos.toml`` would say it."""
        acme = AcmeSettings(
            directory=self.directory or self.pebble.directory, agree_to_terms=True, program=(str(self.pebble.program),),
            ca_file=str(self.pebble.ca_file), roots_file=str(self.pebble.roots_file),
            nameservers=(f"127.0.0.1:{self.pebble.dns[1]}",),
        )  # fmt: skip
        project = load({"NASOS_HOME": str(self.home.root)}, files=False)
        return replace(project, tls=TlsSettings(hosts=(HOST,), mode="acme", acme=acme))

    def now(self) -> datetime:
        """The clock."""
        return datetime.now(UTC) + self.ahead

    @property
    def edge(self) -> EdgeCertificate:
        """What is tested."""
        settings = self.settings
        return EdgeCertificate(self.home, settings, maker(settings.tls.acme, print), self.front, self.now, "rotator")

    def live(self) -> Chain:
        """What is live."""
        chain = edge_pairs(self.home.tls).chain()
        assert chain is not None
        return chain

    def events(self, event: str) -> list[tuple[str, dict[str, str]]]:
        """Outcome and detail of these."""
        return [(str(each.outcome), dict(each.detail)) for each in named(self.home.ledger, event)]


@pytest.fixture
def bench(tmp_path: Path, pebble: Pebble) -> Bench:
    """A home that has development certificates only."""
    home = Home(tmp_path / "home", Users(separate=False))
    for directory in (home.root, home.tls, home.ledger.parent):
        directory.mkdir(mode=0o700)
    issue_all(home.tls, [HOST], now=datetime.now(UTC))
    return Bench(home, pebble)


@pytest.fixture
def served(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """An nginx shows a first certificate by ACME."""
    assert bench.edge.look().issued
    directory = tmp_path / "nginx"
    directory.mkdir(mode=0o755)
    live = edge_pairs(bench.home.tls).live
    with BotApi(bench.home.tls) as bot:
        config = edge_config(
            bench.home.tls, directory, bot.port, hosts=[HOST], certificate=live / "chain.pem", key=live / "key.pem"
        )
        with running(find("nginx"), config) as pid:
            bench.front = Nginx(directory, config.port, pid)
            assert not bench.edge.look().issued
            yield bench


def standing(bench: Bench) -> Standing:
    """Of the edge's certificate."""
    found = standings(bench.home.tls, bench.settings.tls, now=bench.now())
    return next(each for each in found if each.service == "edge")


def test_a_first_certificate_waits_for_a_running_nginx_to_be_proven(bench: Bench) -> None:
    """It is there, it is good, and the development one is untouched."""
    assert standing(bench).state is State.MISSING
    looked = bench.edge.look()
    assert (looked.issued, looked.reason) == (True, Why.MISSING)
    assert not edge_pairs(bench.home.tls).settled
    edge = standing(bench)
    assert (edge.issuer, edge.state, edge.hosts) == ("acme", State.GOOD, (HOST,))
    assert bench.events("tls.issue") == [("ok", {**bench.events("tls.issue")[0][1], "reason": "no certificate"})]
    assert (bench.home.tls / "acme" / "account.key").stat().st_mode & 0o777 == 0o600


def test_a_renewal_is_swapped_shown_and_accepted_by_a_strict_client(served: Bench) -> None:
    """Another key, another certificate on the wire; a client with other roots refuses it; one pair is left."""
    before, key = served.live(), (edge_pairs(served.home.tls).live / "key.pem").read_bytes()
    assert served.edge.look(force=True).issued
    assert isinstance(served.front, Nginx)
    served.front.prove(served.live())
    assert served.live() != before
    assert (edge_pairs(served.home.tls).live / "key.pem").read_bytes() != key
    assert edge_pairs(served.home.tls).settled
    assert len(list((served.home.tls / "acme").glob("pair-*"))) == 1
    strict = ssl.create_default_context(cafile=str(served.pebble.roots_file))
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    foreign = ssl.create_default_context(cafile=str(served.home.tls / "ca.pem"))
    for context, name, good in ((strict, HOST, True), (foreign, HOST, False), (strict, "other.example.org", False)):
        with socket.create_connection(("127.0.0.1", served.front.port), DEADLINE) as plain:
            try:
                context.wrap_socket(plain, server_hostname=name).close()
                accepted = True
            except ssl.SSLError:
                accepted = False
        assert accepted is good, name


@pytest.mark.parametrize("flaw", ["nginx refuses", "nginx is deaf"])
def test_what_nginx_does_not_take_or_show_is_taken_back(served: Bench, flaw: str) -> None:
    """The wire never shows anything else than a good certificate; the try is recorded."""
    before, front = served.live(), served.front
    assert isinstance(front, Nginx)
    front.refuses, front.deaf = ("nonsense;", False) if flaw == "nginx refuses" else ("", True)
    with pytest.raises(TlsError, match="the new certificate was taken back: nginx"):
        served.edge.look(force=True)
    assert served.live() == before
    assert front.serial() == before.leaf.serial_number
    assert edge_pairs(served.home.tls).settled
    [(outcome, detail)] = served.events("tls.renew")
    assert (outcome, detail["tries"]) == ("failed", "1")
    front.refuses, front.deaf = "", False
    assert served.edge.look(force=True).issued


def test_a_limit_of_a_month_is_kept_by_everybody_and_survives_restarts(bench: Bench, between: Between) -> None:
    """Nothing is asked in between, not even by a person with force; afterwards it goes on by itself."""
    bench.directory = between.directory
    between.answer_once("order", Answer.problem(429, "rateLimited", "slowly", Retry_After=str(30 * 86400)))
    with pytest.raises(IssuerBusy, match="asks for patience: slowly"):
        bench.edge.look(patient=True)
    asked = len(between.asked)
    for days in (0, 1, 29):
        bench.ahead = timedelta(days=days)
        assert not bench.edge.look(patient=True).issued
        assert not bench.edge.work_to_do()
        with pytest.raises(IssuerBusy, match="the CA asked for patience until"):
            bench.edge.look(force=True)
    assert len(between.asked) == asked
    bench.ahead = timedelta(days=30, minutes=1)
    assert bench.edge.work_to_do()
    assert bench.edge.look(patient=True).issued


def test_a_ca_that_is_away_for_long_is_tried_again_and_people_hear_of_it_thrice(served: Bench) -> None:
    """From the day when it is due to its last; the old certificate serves on, and the CA back makes it good."""
    first, served.directory = served.live(), "https://127.0.0.1:9/dir"
    begin, end = first.leaf.not_valid_before_utc, first.leaf.not_valid_after_utc
    for part in (0.6, 0.67, 0.7, 0.84, 0.85, 0.951, 0.96, 0.999):
        served.ahead = begin + (end - begin) * part - datetime.now(UTC)
        if part < 0.62:
            assert not served.edge.look(patient=True).issued
            continue
        with pytest.raises(IssuerUnreachable):
            served.edge.look(patient=True)
        assert not served.edge.look(patient=True).issued  # the pause
    assert len(served.events("tls.renew")) == 7
    assert [detail["tries"] for _, detail in served.events("tls.expiring")] == ["1", "3", "5"]
    edge = standing(served)
    assert (edge.state, edge.late) == (State.DUE, True)
    assert "127.0.0.1:9 does not answer" in edge.reason
    assert served.live() == first
    served.directory, served.ahead = "", served.ahead + timedelta(days=1)
    assert served.edge.look(patient=True).issued
    assert served.live() != first
    assert attempts.read(served.home.tls / "acme").failures == 0


def test_a_chain_for_another_key_is_never_installed(served: Bench, between: Between) -> None:
    """Nor one that has expired by our clock; what was good serves on."""
    before = served.live()
    served.directory = between.directory
    foreign = (edge_pairs(served.home.tls).live / "chain.pem").read_bytes()
    between.change_once("certZ", lambda real: Answer(real.status, real.headers, foreign))
    with pytest.raises(TlsError, match="the certificate is for another key"):
        served.edge.look(force=True)
    between.change_once("certZ", lambda real: Answer(real.status, real.headers, real.body[:300]))
    with pytest.raises(TlsError, match="not a chain of certificates in PEM form"):
        served.edge.look(force=True)
    served.ahead = timedelta(days=365 * 30)
    with pytest.raises(TlsError, match="the certificate expired at"):
        served.edge.look(force=True)
    assert served.live() == before
    assert len(list((served.home.tls / "acme").glob("pair-*"))) == 1


def test_another_name_is_another_certificate(bench: Bench) -> None:
    """At the next look, whatever is due."""
    bench.edge.look()
    assert not bench.edge.look().issued
    settings = bench.settings
    more = replace(settings, tls=structs.replace(settings.tls, hosts=(HOST, "second.example.org")))
    edge = EdgeCertificate(bench.home, more, maker(more.tls.acme, print), bench.front, bench.now)
    looked = edge.look(patient=True)
    assert (looked.issued, looked.reason) == (True, Why.NAMES)


def test_advice_brings_a_renewal_forward_and_the_new_one_says_what_it_replaces(bench: Bench, between: Between) -> None:
    """A CA that has to revoke says so by a window in the past."""
    bench.directory = between.directory
    bench.edge.look()
    now = datetime.now(UTC)
    window = {"start": (now - timedelta(days=2)).isoformat(), "end": (now - timedelta(days=1)).isoformat()}
    between.renewal_info = Answer(200, {"Retry-After": "21600"}, json.dumps({"suggestedWindow": window}).encode())
    bench.ahead = timedelta(hours=7)
    assert bench.edge.work_to_do()
    looked = bench.edge.look(patient=True)
    assert (looked.issued, looked.reason) == (True, Why.DUE)


def test_a_look_that_is_killed_counts_as_a_try(bench: Bench, tmp_path: Path) -> None:
    """And leaves no lock; the next one waits its turn."""
    program = tmp_path / "assassin"
    program.write_text("#!/bin/sh\nkill -9 $PPID\n")
    program.chmod(0o700)
    pid = os.fork()
    if pid == 0:
        try:
            object.__setattr__(bench.pebble, "program", program)
            bench.edge.look()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    tried = attempts.read(bench.home.tls / "acme")
    assert (tried.failures, tried.error) == (1, "was interrupted")
    assert not bench.edge.look(patient=True).issued
    assert bench.edge.look().issued


def test_a_refusal_needs_a_person_and_is_told_after_three_tries(bench: Bench, between: Between) -> None:
    """A first certificate that never comes is heard of, once."""
    bench.directory = between.directory
    for hours in range(5):
        bench.ahead = timedelta(hours=hours)
        between.answer_once("order", Answer.problem(400, "rejectedIdentifier", "no such name"))
        with pytest.raises(IssuerRefused):
            bench.edge.look(patient=True)
    assert len(bench.events("tls.expiring")) == 1
