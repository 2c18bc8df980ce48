"""The rotator keeps up what Cloudflare has of us: its real look, a real nginx and Vault; Cloudflare is simulated."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

import fixtures.behind as bench
from fixtures.behind import ELSEWHERE, HOST, THERE, TOKEN, Behind
from nasos.stack.origin.memory import PULLS, Stage, place, recall, remember
from nasos.stack.rotator import certificates, told
from nasos.stack.rotator.duties import Duties
from nasos.tls import pulls
from simulators.cloudflare import failing

NEAR_ITS_END = timedelta(days=70)
"""Age of a certificate for 90 days."""


@pytest.fixture
def behind(shared_behind: Behind) -> Behind:
    """With Cloudflare in front, and nobody else let in."""
    shared_behind.gone()
    shared_behind.simulated.requests.clear()
    return shared_behind


def look(behind: Behind) -> list[tuple[str, str]]:
    """One look of the rotator's; the events that it left."""
    before = count(behind)
    certificates.look(behind.rotating, Duties.of(behind.rotating.settings, behind.place / "home-key"))
    found = [each for name in ("tls.issue", "tls.renew", "cloudflare.origin") for each in behind.events(name)]
    return [(each.event, str(each.outcome)) for each in sorted(found, key=lambda each: each.seq) if each.seq > before]


def count(behind: Behind) -> int:
    """The number of the last event."""
    return max((each.seq for name in ("tls.issue", "tls.renew", "cloudflare.origin") for each in behind.events(name)),
               default=0)  # fmt: skip


def known(behind: Behind, **changed: object) -> None:
    """What is remembered here of Cloudflare."""
    remember(behind.stack.home, structs.replace(recall(behind.stack.home), **changed))


def later(behind: Behind) -> None:
    """The pause after a failure is over."""
    known(behind, tried=datetime.now(UTC) - timedelta(hours=7))


def served(behind: Behind) -> bool:
    """Visitors come in through Cloudflare, and nobody past it."""
    return behind.visits() and behind.becomes(ELSEWHERE, open_=False)


def test_what_is_good_is_left_alone(behind: Behind) -> None:
    """The first look asks for the zone, the next one nobody."""
    assert look(behind) == []
    assert behind.simulated.changes == []
    behind.simulated.requests.clear()
    assert look(behind) == []
    assert behind.simulated.requests == []


def test_a_certificate_near_its_end_is_renewed(behind: Behind) -> None:
    """By itself, once; the one before is revoked. A CA that is away costs nothing but an event, and a later try."""
    behind.simulated.origin.age = NEAR_ITS_END
    assert behind.nasos("tls", "renew", "--force").returncode == 0
    behind.simulated.origin.age = timedelta()
    [old] = behind.simulated.origin.certificates
    behind.simulated.fail_next("POST /certificates", failing(503), times=9)
    assert look(behind) == [("tls.renew", "failed"), ("cloudflare.origin", "failed")]
    assert served(behind)
    behind.simulated.faults.clear()
    behind.simulated.requests.clear()
    assert (look(behind), behind.simulated.requests) == ([], [])
    later(behind)
    tried = place(behind.stack.home) / "renewal.json"
    tried.unlink()
    assert look(behind) == [("tls.issue", "ok"), ("cloudflare.origin", "ok")]
    [new] = behind.simulated.origin.certificates
    assert (new != old, served(behind), look(behind)) == (True, True, [])
    assert {each.actor for each in behind.events("cloudflare.origin")[-2:]} == {"rotator"}


def aged(behind: Behind) -> pulls.Pulling:
    """Cloudflare has a client certificate of 300 days ago, which nginx trusts."""
    old = pulls.fresh(datetime.now(UTC) - timedelta(days=300))
    pair = {"certificate": old.certificate.decode(), "private_key": old.key.reveal(), "status": "active", "looks": 9}
    [entry] = behind.zone.pulls.values()
    entry.update(pair)
    (place(behind.stack.home) / PULLS).write_bytes(old.ca)
    known(behind, pulls_end=pulls.ends(old.certificate))
    behind.stack.supervisor.signal("nginx", 1)
    deadline = time.monotonic() + bench.DEADLINE
    while not behind.visits():
        assert time.monotonic() < deadline
    return old


def test_the_client_certificate_is_replaced_without_a_gap(behind: Behind) -> None:
    """Whenever Cloudflare shows one, nginx takes it: visitors come in at every moment; the old one counts no more."""
    old = aged(behind)
    [before] = behind.zone.pulls
    statuses: list[int] = []
    trusted: list[int] = []

    def visit() -> None:
        statuses.append(behind.front.ask(HOST, "/nowhere")[0])
        trusted.append((place(behind.stack.home) / PULLS).read_bytes().count(b"BEGIN"))

    behind.simulated.between = visit
    assert look(behind) == [("cloudflare.origin", "ok")]
    behind.simulated.between = None
    [after] = behind.zone.pulls
    assert (after != before, set(statuses), max(trusted)) == (True, {404}, 2)
    assert (place(behind.stack.home) / PULLS).read_bytes().count(b"BEGIN") == 1
    assert served(behind)
    behind.zone.pulls[after].update(certificate=old.certificate.decode(), private_key=old.key.reveal())
    deadline = time.monotonic() + bench.DEADLINE
    while behind.visits():
        assert time.monotonic() < deadline


def test_a_client_certificate_that_cannot_be_replaced_stays(behind: Behind) -> None:
    """An event, and no request before the pause is over; then it is replaced."""
    aged(behind)
    [before] = behind.zone.pulls
    behind.simulated.fail_next("POST .*origin_tls_client_auth", failing(503))
    assert look(behind) == [("cloudflare.origin", "failed")]
    assert ([*behind.zone.pulls], served(behind), behind.stage) == ([before], True, Stage.REQUIRED)
    behind.simulated.requests.clear()
    assert (look(behind), behind.simulated.requests) == ([], [])
    later(behind)
    assert look(behind) == [("cloudflare.origin", "ok")]
    assert ([*behind.zone.pulls] != [before], served(behind)) == (True, True)


def test_new_addresses_of_cloudflares_are_let_in(behind: Behind) -> None:
    """A day later; before that they are strangers."""
    behind.simulated.ipv4.append("127.0.81.0/24")
    behind.front.source = "127.0.81.7"
    try:
        assert not behind.visits()
        known(behind, fetched=datetime.now(UTC) - timedelta(days=1))
        assert look(behind) == [("cloudflare.origin", "ok")]
        deadline = time.monotonic() + bench.DEADLINE
        while not behind.visits():
            assert time.monotonic() < deadline
    finally:
        behind.front.source = THERE


def test_a_list_that_has_shrunk_shuts_nobody_out(behind: Behind) -> None:
    """It is an event; what is due beside it is done all the same."""
    aged(behind)
    known(behind, fetched=datetime.now(UTC) - timedelta(days=1))
    [before] = behind.zone.pulls
    behind.simulated.ipv4[:] = ["127.0.79.0/28"]
    assert look(behind) == [("cloudflare.origin", "failed"), ("cloudflare.origin", "ok")]
    assert ([*behind.zone.pulls] != [before], served(behind)) == (True, True)


@pytest.mark.parametrize("trouble", ["no token", "moved"])
def test_what_a_person_has_to_mend_is_said_and_changes_nothing(behind: Behind, trouble: str) -> None:
    """There is no token any more, or Cloudflare answers no more for the zone."""
    known(behind, fetched=datetime.now(UTC) - timedelta(days=1))
    if trouble == "moved":
        behind.zone.status = "moved"
    else:
        behind.token(None)
    try:
        assert look(behind) == [("cloudflare.origin", "failed")]
    finally:
        behind.token(TOKEN)
    assert behind.simulated.changes == []
    assert served(behind)


def test_one_that_has_not_heard_of_the_way_back_does_nothing(behind: Behind) -> None:
    """The edge stays open, with its development certificate; nobody is asked."""
    behind.configure("dev")
    assert behind.nasos("tls", "setup", "--mode", "dev").returncode == 0
    behind.simulated.requests.clear()
    assert (look(behind), behind.simulated.requests) == ([], [])
    behind.settles(ELSEWHERE, "development")


def test_a_running_one_hears_of_the_new_mode_and_renews(behind: Behind) -> None:
    """The command starts it anew, and its own loop does what is due."""
    behind.simulated.origin.age = NEAR_ITS_END
    assert behind.nasos("tls", "renew", "--force").returncode == 0
    behind.simulated.origin.age = timedelta()
    [old] = behind.simulated.origin.certificates
    supervisor = behind.stack.supervisor
    told.anew(behind.stack.home, behind.stack.settings)
    supervisor.launch("rotator")
    try:
        first = supervisor.states()["rotator"].pid
        done = behind.setup()
        assert (done.returncode, "rotator: started anew" in done.stderr) == (0, True)
        second = supervisor.states()["rotator"].pid
        assert second not in (None, first)
        assert '"mode":"cloudflare"' in Path(f"/proc/{second}/cmdline").read_text()
        deadline = time.monotonic() + bench.DEADLINE
        while [*behind.simulated.origin.certificates] == [old]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert "rotator" not in behind.setup().stderr
    finally:
        supervisor.stop("rotator")
