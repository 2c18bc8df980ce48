"""The rotator's look renews certificates without anybody's hand, by a process of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from fixtures.pebble import Pebble
from nasos.ledger import named
from nasos.settings import AcmeSettings, Settings, TlsSettings, load
from nasos.stack.embedded import Stack
from nasos.stack.home import Home, Record
from nasos.stack.ports import Ports
from nasos.stack.rotator import certificates
from nasos.stack.rotator.duties import Duties
from nasos.stack.supervisor import Supervisor
from nasos.stack.users import Users
from nasos.tls import State, issue_all, standings
from nasos.tls.pairs import CHAIN
from nasos.tls.trust import edge_pairs


def stack_with(place: Path, tls: TlsSettings, age: timedelta) -> Stack:
    """A stack that does not run, with development certificates of this age."""
    settings: Settings = replace(load({"NASOS_HOME": str(place / "home")}, files=False), tls=tls)
    home, record = Home(settings.home, Users(separate=False)), Record(id="test", ports=Ports.following(20443))
    for directory in (home.root, home.tls, home.ledger.parent):
        directory.mkdir(mode=0o700)
    home.record_path.write_bytes(msgspec.json.encode(record))
    issue_all(home.tls, tls.hosts, now=datetime.now(UTC) - age)
    return Stack(settings, home, record, Supervisor(home))


def look(stack: Stack) -> list[tuple[str, str]]:
    """One look; what it recorded."""
    certificates.look(stack, Duties.of(stack.settings, None))
    return [(each.actor, each.target) for each in named(stack.home.ledger, "tls.issue")]


def test_development_certificates_are_renewed_when_they_are_due(tmp_path: Path) -> None:
    """Past two thirds of their 90 days; a second look finds nothing to do, and starts nothing."""
    stack = stack_with(tmp_path, TlsSettings(), timedelta(days=61))
    expected = [("rotator", name) for name in ("vault", "postgres", "bot", "edge", "gateway", "nginx")]
    assert look(stack) == expected
    assert {each.state for each in standings(stack.home.tls, TlsSettings(), now=datetime.now(UTC))} == {State.GOOD}
    assert look(stack) == expected


def test_young_certificates_are_left_alone(tmp_path: Path) -> None:
    """At 59 days nothing is done."""
    assert look(stack_with(tmp_path, TlsSettings(), timedelta(days=59))) == []


def test_a_first_certificate_by_acme_comes_by_itself(tmp_path: Path, pebble: Pebble) -> None:
    """And is not asked for again at the next look; a CA that is away leaves a record, and the look ends well."""
    acme = AcmeSettings(
        directory=pebble.directory, agree_to_terms=True, program=(str(pebble.program),), ca_file=str(pebble.ca_file),
        roots_file=str(pebble.roots_file), nameservers=(f"127.0.0.1:{pebble.dns[1]}",),
    )  # fmt: skip
    tls = TlsSettings(hosts=("bot.example.org",), mode="acme", acme=acme)
    away = msgspec.structs.replace(tls, acme=msgspec.structs.replace(acme, directory="https://127.0.0.1:9/dir"))
    stack = stack_with(tmp_path, away, timedelta())
    assert look(stack) == []
    [failed] = named(stack.home.ledger, "tls.renew")
    assert (failed.actor, str(failed.outcome)) == ("rotator", "failed")
    (stack.home.tls / "acme" / "renewal.json").unlink()
    stack = replace(stack, settings=replace(stack.settings, tls=tls))
    for _ in range(2):
        assert look(stack) == [("rotator", "edge")]
    assert (edge_pairs(stack.home.tls).live / CHAIN).exists()
    edge = {each.service: each for each in standings(stack.home.tls, tls, now=datetime.now(UTC))}["edge"]
    assert edge.state is State.GOOD
