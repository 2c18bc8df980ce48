"""A real ACME server whose answers are spoiled on their way: limits, nonsense, wrong chains, renewal information."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fixtures.pebble import Pebble, fresh
from nasos.errors import IssuerBusy, IssuerRefused, IssuerUnreachable, TlsError
from nasos.tls import names
from nasos.tls.acme import Acme
from nasos.tls.certificate import names_of, new_key, request
from nasos.tls.chain import Chain, judge, read_roots
from simulators.acme_between import RENEWAL_INFO, Answer, Between

HOST = "bot.example.org"


def through(between: Between, pebble: Pebble, **changes: Any) -> Acme:
    """A client that meets the server in the middle."""
    return pebble.issuer(authority=pebble.authority(directory=between.directory), **changes)


def test_the_server_in_the_middle_is_transparent(between: Between, pebble: Pebble) -> None:
    """The other tests fail for their own reasons."""
    assert names_of(Chain.parse(through(between, pebble).issue(fresh(HOST), now=datetime.now(UTC))).leaf) == (HOST,)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("120", 120), ("2592000", 2592000), ("9" * 40, 366 * 86400), (None, None), ("soon", None)],
)
def test_a_limit_is_an_error_that_knows_for_how_long(
    between: Between, pebble: Pebble, retry_after: str | None, seconds: int | None
) -> None:
    """Two minutes, a month, and numbers that are none."""
    limit = {} if retry_after is None else {"Retry_After": retry_after}
    between.answer_once("order", Answer.problem(429, "rateLimited", "too many certificates (5)", **limit))
    with pytest.raises(IssuerBusy, match=r"asks for patience: too many certificates \(5\)") as busy:
        through(between, pebble).issue(fresh(HOST), now=datetime.now(UTC))
    if seconds is None:
        assert busy.value.until is None
    else:
        assert busy.value.until is not None
        assert abs(busy.value.until - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=60)


def test_a_limit_may_be_a_date(between: Between, pebble: Pebble) -> None:
    """RFC 9110's other form; and no problem document is needed for it."""
    until = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    between.answer_once("dir", Answer(503, {"Retry-After": format_datetime(until, usegmt=True)}, b"<html>later</html>"))
    with pytest.raises(IssuerBusy) as busy:
        through(between, pebble).issue(fresh(HOST), now=datetime.now(UTC))
    assert busy.value.until == until


@pytest.mark.parametrize(
    ("part", "answer", "error"),
    [
        ("dir", Answer(200, {"Content-Type": "text/html"}, b"<html>a captive portal</html>"), IssuerUnreachable),
        ("dir", Answer(200, {"Content-Type": "application/json"}, b"{}"), IssuerUnreachable),
        ("dir", Answer(200, {"Content-Type": "application/json"}, b"[1]"), IssuerUnreachable),
        ("order", Answer(502, {}, b"bad gateway"), IssuerUnreachable),
        ("order", Answer.problem(500, "serverInternal", "out of order"), IssuerUnreachable),
        ("order", Answer.problem(400, "rejectedIdentifier", "no \x1b[31msuch\r\nTLD"), IssuerRefused),
        ("order", Answer.problem(403, "caa", "CAA forbids"), IssuerRefused),
        ("order", Answer(201, {"Replay-Nonce": "abcd"}, b'{"status": 5}'), TlsError),
        ("nonce", Answer(204, {}), TlsError),
        ("finalize", Answer.problem(400, "badCSR", "weak key"), IssuerRefused),
    ],
)  # fmt: skip
def test_nonsense_and_refusals_are_errors_of_ours(
    between: Between, pebble: Pebble, part: str, answer: Answer, error: type[TlsError]
) -> None:
    """Nothing of a stranger's text can write on a terminal, and every challenge is taken away."""
    between.answer_once(part, answer)
    with pytest.raises(error) as raised:
        through(between, pebble).issue(fresh(HOST), now=datetime.now(UTC))
    assert raised.value.message.isprintable()
    called = pebble.called()
    assert sorted(rest for step, *rest in called if step == "present") == sorted(
        rest for step, *rest in called if step == "cleanup"
    )


def test_an_order_that_becomes_invalid_says_why(between: Between, pebble: Pebble) -> None:
    """Between finalization and certificate."""

    def spoil(real: Answer) -> Answer:
        problem = {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA was set meanwhile", "status": 403}
        invalid = json.loads(real.body) | {"status": "invalid", "error": problem}
        return Answer(real.status, real.headers, json.dumps(invalid).encode())

    between.change_once("my-order", spoil)
    with pytest.raises(IssuerRefused, match=r"refuses \(caa\): CAA was set meanwhile"):
        through(between, pebble).issue(fresh(HOST), now=datetime.now(UTC))


def test_a_chain_for_another_key_is_not_accepted(between: Between, pebble: Pebble) -> None:
    """As a confused or hostile issuer could send it; the right one is."""
    other, key, now = new_key(), new_key(), datetime.now(UTC)
    hosts, roots = names.hosts([HOST]), read_roots(pebble.roots_file)
    foreign = pebble.issuer().issue(request(other, "", hosts), now=now)
    between.change_once("certZ", lambda real: Answer(real.status, real.headers, foreign))
    chain = Chain.parse(through(between, pebble).issue(request(key, "", hosts), now=now))
    judge(chain, public_key=other.public_key(), hosts=hosts, roots=roots, now=datetime.now(UTC))
    with pytest.raises(TlsError, match="the certificate is for another key"):
        judge(chain, public_key=key.public_key(), hosts=hosts, roots=roots, now=datetime.now(UTC))


def info(start: datetime, end: datetime, **more: str) -> bytes:
    """Renewal information (RFC 9773 4.2)."""
    return json.dumps({"suggestedWindow": {"start": start.isoformat(), "end": end.isoformat()}, **more}).encode()


def test_renewal_information_is_asked_for_by_the_certificates_own_name(between: Between, pebble: Pebble) -> None:
    """And a renewal says what it replaces."""
    now = datetime.now(UTC)
    start, end = now + timedelta(days=3), now + timedelta(days=4)
    body = info(start, end, explanationURL="https://example.org/why")
    between.renewal_info = Answer(200, {"Content-Type": "application/json", "Retry-After": "3600"}, body)
    issuer = through(between, pebble)
    chain = issuer.issue(fresh(HOST), now=now)
    advice = issuer.advice(chain, now=now)
    assert advice is not None
    assert (advice.start, advice.end, advice.explanation) == (start, end, "https://example.org/why")
    assert abs(advice.ask_again - now - timedelta(hours=1)) < timedelta(minutes=1)
    name = between.asked[-1].removeprefix(f"GET {RENEWAL_INFO}/")
    authority, serial = name.split(".")
    assert Chain.parse(chain).leaf.serial_number == int.from_bytes(_decoded(serial), "big", signed=True)
    assert len(_decoded(authority)) == 20
    seen: list[bytes] = []
    renewing = through(between, pebble, replaces=chain)
    between.bodies = seen
    renewing.issue(fresh(HOST), now=now)
    assert any(json.loads(_decoded(json.loads(each)["payload"]) or b"{}").get("replaces") == name for each in seen)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"Content-Type": "application/json"}, b'{"suggestedWindow": {}}'),
        Answer(200, {}, info(datetime.now(UTC), datetime.now(UTC) - timedelta(days=1))),
        Answer(404, {}, b"nothing here"),
        Answer.problem(429, "rateLimited", "slowly", Retry_After="60"),
    ],
)  # fmt: skip
def test_nonsense_in_renewal_information_is_an_error(between: Between, pebble: Pebble, answer: Answer) -> None:
    """Never a date."""
    between.renewal_info = answer
    own = pebble.ca_file.parent / "pebble.pem"
    with pytest.raises(TlsError):
        through(between, pebble).advice(own.read_bytes(), now=datetime.now(UTC))


def test_a_ca_without_renewal_information_has_no_advice(pebble: Pebble) -> None:
    """Pebble 2.4 has none; and nobody is asked about what has expired."""
    chain, now = pebble.issuer().issue(fresh(HOST), now=datetime.now(UTC)), datetime.now(UTC)
    assert pebble.issuer().advice(chain, now=now) is None
    assert pebble.issuer().advice(chain, now=now + timedelta(days=4000)) is None
