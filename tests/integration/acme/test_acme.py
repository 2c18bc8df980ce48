"""ACME end to end against Pebble, which refuses one nonce in twenty and reuses authorizations at random."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import certifi
import pytest

from fixtures.pebble import EXTERNAL, Make, Pebble, fresh
from nasos.errors import IssuerRefused, IssuerUnreachable, TlsError
from nasos.secret import Secret
from nasos.tls import names
from nasos.tls.acme_client import ExternalAccount
from nasos.tls.certificate import names_of, new_key, request
from nasos.tls.chain import Chain, judge, read_roots
from nasos.tls.dns01 import Command, Record
from nasos.tls.propagation import Propagation
from simulators.launched import eventually

HOSTS = ("bot.example.org", "other.example.org")


def ended(process: Path) -> bool:
    """Whether nothing of it runs: gone, or dead and waiting for init."""
    try:
        return ") Z " in (process / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Believing:
    """Takes everybody's word for it."""

    def wait(self, records: object) -> None:
        """Ask nobody."""


def test_a_chain_for_both_names_is_issued_and_accepted(pebble: Pebble) -> None:
    """The chain is for our key and both names and leads to the CA's root; to nobody else's."""
    key, hosts = new_key(), names.hosts(HOSTS)
    pem = pebble.issuer().issue(request(key, "", hosts), now=datetime.now(UTC))
    chain, now = Chain.parse(pem), datetime.now(UTC)
    judge(chain, public_key=key.public_key(), hosts=hosts, roots=read_roots(pebble.roots_file), now=now)
    assert sorted(names_of(chain.leaf)) == sorted(HOSTS)
    assert chain.intermediates
    with pytest.raises(TlsError, match="a strict client would not accept"):
        judge(chain, public_key=key.public_key(), hosts=hosts, roots=read_roots(Path(certifi.where())), now=now)


def test_a_request_with_a_subject_is_not_sent(pebble: Pebble) -> None:
    """OpenBao and Boulder take a common name for a host, and refuse the order at its end."""
    with pytest.raises(TlsError, match="has no subject"):
        pebble.issuer().issue(request(new_key(), "edge", names.hosts(HOSTS)), now=datetime.now(UTC))


def test_every_challenge_is_taken_away_again(pebble: Pebble) -> None:
    """Also with an account that the CA knows already."""
    account = new_key()
    for host in ("one.example.org", "two.example.org"):
        pebble.issuer(account).issue(fresh(host), now=datetime.now(UTC))
    called = pebble.called()
    put = sorted(rest for step, *rest in called if step == "present")
    assert [name for name, _ in put] == ["_acme-challenge.one.example.org", "_acme-challenge.two.example.org"]
    assert put == sorted(rest for step, *rest in called if step == "cleanup")


def test_refused_nonces_are_no_failure(new_pebble: Make) -> None:
    """Every third nonce is refused."""
    pebble = new_pebble(PEBBLE_WFE_NONCEREJECT="33")
    assert names_of(Chain.parse(pebble.issuer().issue(fresh("bot.example.org"), now=datetime.now(UTC))).leaf)


def test_an_account_is_tied_to_an_external_one(new_pebble: Make) -> None:
    """With its key, and with no other."""
    pebble = new_pebble(external=True)
    bound = pebble.issuer(authority=pebble.authority(external=EXTERNAL))
    assert names_of(Chain.parse(bound.issue(fresh("bot.example.org"), now=datetime.now(UTC))).leaf)
    with pytest.raises(IssuerRefused) as refused:
        pebble.issuer().issue(fresh("bot.example.org"), now=datetime.now(UTC))
    assert "eab_kid" in (refused.value.hint or "")
    wrong = pebble.issuer(authority=pebble.authority(external=ExternalAccount(EXTERNAL.kid, Secret("d3Jvbmc"))))
    with pytest.raises(IssuerRefused) as refused:
        wrong.issue(fresh("bot.example.org"), now=datetime.now(UTC))
    assert "d3Jvbmc" not in str(refused.value)
    assert EXTERNAL.key.reveal() not in str(refused.value)


def test_who_has_not_agreed_is_told_so(pebble: Pebble) -> None:
    """The CA's terms are the operator's to read."""
    with pytest.raises(IssuerRefused) as refused:
        pebble.issuer(authority=pebble.authority(agreed=False)).issue(fresh(HOSTS[0]), now=datetime.now(UTC))
    assert "agree_to_terms" in (refused.value.hint or "")


def test_a_challenge_that_the_ca_does_not_find_is_an_error_with_its_words(pebble: Pebble, tmp_path: Path) -> None:
    """And it is cleaned up."""
    calls = tmp_path / "calls"
    program = tmp_path / "idle"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{calls}"\n')
    program.chmod(0o700)
    issuer = pebble.issuer(solver=Command([str(program)]), published=Believing())
    with pytest.raises(IssuerRefused, match="does not accept the challenge for lost"):
        issuer.issue(fresh("lost.example.org"), now=datetime.now(UTC))
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["present", "cleanup"]


def test_the_ca_is_not_told_before_the_challenge_can_be_seen(pebble: Pebble) -> None:
    """What was put is taken away, and the CA counts no failure."""
    silent = pebble.issuer(solver=Command(["/bin/true"]), published=Propagation(1, servers=[pebble.dns]))
    with pytest.raises(
        TlsError, match=r"_acme-challenge.never.example.org is not in the DNS after 1 s: not shown by 127"
    ):
        silent.issue(fresh("never.example.org"), now=datetime.now(UTC))


def test_a_program_that_fails_is_quoted_and_nothing_stays(pebble: Pebble, tmp_path: Path) -> None:
    """Its last line, and how it ended."""
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho first\necho 'zone is locked' >&2\nexit 7\n")
    program.chmod(0o700)
    with pytest.raises(
        TlsError, match=r"present failed for _acme-challenge.a.example.org: zone is locked \(exit code 7\)"
    ):
        pebble.issuer(solver=Command([str(program)])).issue(fresh("a.example.org"), now=datetime.now(UTC))
    with pytest.raises(TlsError, match="cannot be started: no such file"):
        Command([str(tmp_path / "none")]).present(Record("_acme-challenge.a.example.org", "v"))


def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    """Nothing of it is left."""
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/child\nwait\n")
    program.chmod(0o700)
    with pytest.raises(TlsError, match="present took longer than 1 s"):
        Command([str(program)], seconds=1).present(Record("_acme-challenge.a.example.org", "v"))
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    # Killed is not yet gone: on a busy machine it has to be given the processor once more, to die.
    eventually(lambda: ended(child), 10)


def test_a_directory_under_a_foreign_certificate_is_not_spoken_to(pebble: Pebble) -> None:
    """Its CA has to be named."""
    with pytest.raises(IssuerUnreachable, match=r"the certificate of 127.0.0.1:.* is not to be trusted") as refused:
        pebble.issuer(authority=pebble.authority(ca_file=None)).issue(fresh(HOSTS[0]), now=datetime.now(UTC))
    assert "ca_file" in (refused.value.hint or "")


@pytest.mark.usefixtures("direct")
def test_a_ca_that_is_not_there_is_unreachable(pebble: Pebble) -> None:
    """With a command that shows it."""
    gone = pebble.authority(directory="https://127.0.0.1:9/dir")
    with pytest.raises(IssuerUnreachable, match=r"127\.0\.0\.1:9 does not answer: ConnectionError") as refused:
        pebble.issuer(authority=gone).issue(fresh(HOSTS[0]), now=datetime.now(UTC))
    assert refused.value.hint == "curl -sS https://127.0.0.1:9/dir"
