"""The ring of signing keys: who signs, what is accepted when, and what no verifier may ever accept."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasos.errors import CandidateRejected, CredentialRejected, RotationError
from nasos.rotation.engine import Engine
from nasos.rotation.rotator import Part, Unit
from nasos.rotation.signing import (
    LEEWAY,
    LIFETIME,
    SPARE,
    Ring,
    decoded,
    encoded,
    fresh,
    signed,
    thumbprint,
)
from nasos.rotation.signing_keys import SigningKeys
from nasos.secret import Secret
from nasos.vault.memory import MemoryStore

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def refused(ring: Ring, token: Secret, now: datetime = NOW) -> bool:
    """Whether the ring does not take it."""
    try:
        ring.verify(token, now)
    except CredentialRejected:
        return True
    return False


def test_the_next_key_is_published_before_it_signs_and_the_previous_one_after() -> None:
    """A verifier that remembers the set of yesterday knows the key of today."""
    ring = Ring.first(NOW)
    before = {key["kid"] for key in ring.jwks(NOW)["keys"]}
    turned = ring.turned(NOW)
    assert turned.current.kid in before
    assert turned.previous is not None
    assert [key["kid"] for key in turned.jwks(NOW)["keys"]] == [
        turned.current.kid, turned.previous.kid, turned.next.kid,
    ]  # fmt: skip


def test_nothing_private_is_published() -> None:
    """The set has exactly the public members."""
    ring = Ring.first(NOW).turned(NOW)
    text = json.dumps(ring.jwks(NOW))
    assert not any(key.private.reveal() in text for key in ring.keys)
    assert {name for key in ring.jwks(NOW)["keys"] for name in key} == {"kty", "crv", "x", "kid", "use", "alg"}


def test_a_token_lives_through_a_rotation_and_no_longer_than_it_says() -> None:
    """Signed just before, it is accepted after, until its own end."""
    ring = Ring.first(NOW)
    token = ring.sign({"sub": "a"}, NOW)
    turned = ring.turned(NOW)
    assert turned.verify(token, NOW + LIFETIME - timedelta(seconds=1))["sub"] == "a"
    assert refused(turned, token, NOW + LIFETIME)


def test_the_previous_key_ends_by_the_clock() -> None:
    """Nobody has to end it: a token by it is refused when its overlap is over."""
    ring = Ring.first(NOW)
    turned, end = ring.turned(NOW), NOW + SPARE + LIFETIME
    for moment, wanted in ((end - timedelta(seconds=1), False), (end, True)):
        claims = {"iat": int(moment.timestamp()), "exp": int((moment + timedelta(minutes=5)).timestamp())}
        assert refused(turned, signed(ring.current, claims), moment) is wanted
    assert len(turned.jwks(end)["keys"]) == 2


@given(turns=st.lists(st.integers(0, 3 * 3600), max_size=5), look=st.integers(0, 4 * 3600))
@settings(max_examples=60, deadline=None)
def test_only_current_and_recent_previous_are_ever_accepted(turns: list[int], look: int) -> None:
    """After any rotations at any distances: next, retired and foreign keys are refused, always."""
    ring, now = Ring.first(NOW), NOW
    ever = {key.kid: key for key in ring.keys}
    for seconds in turns:
        now += timedelta(seconds=seconds)
        ring = ring.turned(now)
        ever |= {key.kid: key for key in ring.keys}
    now += timedelta(seconds=look)
    accepted = {key.kid for key in ring.accepted(now)}
    assert ring.current.kid in accepted
    assert accepted <= {ring.current.kid, ring.previous.kid if ring.previous else ""}
    claims = {"iat": int(now.timestamp()), "exp": int(now.timestamp()) + 60}
    for key in (*ever.values(), fresh(now)):
        assert refused(ring, signed(key, claims), now) is (key.kid not in accepted)


def test_what_was_tampered_with_is_refused() -> None:
    """Another algorithm, none, another body, a cut signature, a foreign key under a known name."""
    ring = Ring.first(NOW)
    head, body, signature = ring.sign({"sub": "a"}, NOW).reveal().split(".")

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    kid = ring.current.kid
    forged = {**json.loads(base64.urlsafe_b64decode(body + "==")), "sub": "b"}
    foreign = fresh(NOW)
    other = type(foreign)(kid, foreign.private, foreign.public, NOW)
    tokens = [
        f"{part({'alg': 'none', 'kid': kid})}.{body}.",
        f"{part({'alg': 'HS256', 'kid': kid})}.{body}.{signature}",
        f"{part({'alg': 'EdDSA'})}.{body}.{signature}",
        f"{head}.{part(forged)}.{signature}",
        f"{head}.{body}.{signature[:-4]}",
        f"{head}.{body}",
        f"{head}.{body}.{signature}==",
        "",
        "..",
        "é.é.é",
    ]
    assert [token for token in tokens if not refused(ring, Secret(token))] == []
    assert refused(ring, signed(other, forged))
    assert not refused(ring, Secret(f"{head}.{body}.{signature}"))


def test_times_are_held_to_the_rules() -> None:
    """From the future, endless, or without times: refused; a clock that differs a little is allowed for."""
    ring, moment = Ring.first(NOW), int(NOW.timestamp())
    good = {"iat": moment, "exp": moment + 60}
    for wrong in (
        {"exp": moment + 60}, {"iat": moment}, {"iat": moment, "exp": True}, {"iat": moment, "exp": "9999999999"},
        {"iat": moment + 61, "exp": moment + 90}, {"iat": moment, "exp": moment + int(LIFETIME.total_seconds()) + 1},
        {"iat": moment - 60, "exp": moment},
    ):  # fmt: skip
        assert refused(ring, signed(ring.current, wrong)), wrong
    assert not refused(ring, signed(ring.current, good))
    assert not refused(ring, signed(ring.current, {"iat": moment + 59, "exp": moment + 60}))
    with pytest.raises(RotationError):
        ring.sign({}, NOW, LIFETIME + timedelta(seconds=1))


def test_the_record_is_the_ring() -> None:
    """There and back; what is no ring is said to be none."""
    for ring in (Ring.first(NOW), Ring.first(NOW).turned(NOW)):
        again = decoded(encoded(ring))
        assert [key.kid for key in again.keys] == [key.kid for key in ring.keys]
        assert not refused(again, ring.sign({}, NOW))
    record = encoded(Ring.first(NOW))
    for wrong in (
        {}, {**record, "current_key": Secret("x")}, {**record, "next_since": Secret("yesterday")},
        {**record, "current_kid": record["next_kid"]},
    ):  # fmt: skip
        with pytest.raises(RotationError):
            decoded(wrong)


def test_the_name_of_a_key_is_the_standards() -> None:
    """RFC 8037 appendix A.3."""
    assert thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_ring_that_waited_for_its_promotion_is_made_anew() -> None:
    """Its overlap counts from its making: after a crash in between, a fresh one is taken."""
    moments = [NOW]
    rotator = SigningKeys(lambda: moments[-1])
    candidate = rotator.create(encoded(Ring.first(NOW)))
    assert "signs and verifies" in rotator.test(candidate)
    moments.append(NOW + LEEWAY + timedelta(seconds=1))
    with pytest.raises(CandidateRejected, match="too long ago"):
        rotator.test(candidate)


def test_a_ring_that_leaked_leaves_no_key_behind() -> None:
    """All three were in the record: none of them signs, is published or is accepted afterwards."""
    store = MemoryStore()
    store.write("nasos/gateway/signing", encoded(Ring.first(NOW)))
    part = Part("gateway/signing", SigningKeys(lambda: NOW))
    engine = Engine(store, {"gateway/signing": Unit("gateway/signing", (part,))}, lambda *_: None, lambda: NOW)
    engine.rotate("gateway/signing", actor="test", reason="test")
    before = decoded(store.read("nasos/gateway/signing").fields)
    token = before.sign({"sub": "thief"}, NOW)
    engine.rotate("gateway/signing", actor="test", reason="leak", leaked=True)
    after = decoded(store.read("nasos/gateway/signing").fields)
    assert not {key.kid for key in before.keys} & {key.kid for key in after.keys}
    with pytest.raises(CredentialRejected):
        after.verify(token, NOW)
