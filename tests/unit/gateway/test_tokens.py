"""Access tokens: what is issued is accepted, for as long and where it says, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nasos.errors import RotationError, TokenRefused
from nasos.gateway.access import Role
from nasos.gateway.tokens import LONGEST, Claims, Verifier, accepted, issue, jwks, verify
from nasos.rotation.signing import LEEWAY, LIFETIME, SPARE, Ring, fresh, signed
from nasos.secret import Secret

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KIND = "nasos-access+jwt"


def token(ring: Ring, **other: Any) -> Secret:
    """One as the gateway makes it."""
    usual: dict[str, Any] = {"subject": "ann", "role": Role.TRADER, "session": "s1", "audience": "bot", "now": NOW}
    return issue(ring, **{**usual, "seconds": 300, **other})


def why(ring: Ring, text: str | Secret, now: datetime = NOW, audience: str = "bot") -> str:
    """Why it is refused; empty when it is not. Verifier and function agree, the second time too."""
    secret = text if isinstance(text, Secret) else Secret(text)
    verifier, answers = Verifier(lambda: ring), []
    for remembering in (False, True, True):
        try:
            if remembering:
                verifier.verify(secret, audience=audience, now=now)
            else:
                verify(secret, accepted(ring, now), audience=audience, now=now)
            answers.append("")
        except TokenRefused as refused:
            answers.append(str(refused))
    assert len(answers[0]) < 80  # a rule, not a token
    assert len(set(answers)) == 1
    return answers[0]


def part(content: object) -> str:
    """A part of a token."""
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpacked(text: Secret) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims."""
    head, body, _ = text.reveal().split(".")
    return json.loads(base64.urlsafe_b64decode(head + "==")), json.loads(base64.urlsafe_b64decode(body + "=="))


def by_hand(ring: Ring, header: object, claims: object) -> str:
    """A token with any header and body, and a right signature by the current key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = f"{part(header)}.{part(claims)}"
    private = base64.urlsafe_b64decode(ring.current.private.reveal() + "=")
    return f"{content}.{part(Ed25519PrivateKey.from_private_bytes(private).sign(content.encode()))}"


def test_what_is_issued_is_read_back() -> None:
    """Every claim, the key's name, and a name of its own for every token."""
    ring = Ring.first(NOW)
    claims = verify(token(ring), accepted(ring, NOW), audience="bot", now=NOW)
    moment = int(NOW.timestamp())
    assert claims == Claims("ann", Role.TRADER, "s1", "bot", claims.jti, moment, moment + 300, ring.current.kid)
    assert len({unpacked(token(ring))[1]["jti"] for _ in range(50)}) == 50
    assert "ann" not in repr(token(ring))


def test_it_counts_for_its_time_and_place_only() -> None:
    """Ended, from the future, for another bot; a clock that differs a little is allowed for."""
    ring = Ring.first(NOW)
    text = token(ring)
    assert why(ring, text, NOW + timedelta(seconds=299)) == ""
    assert why(ring, text, NOW + timedelta(seconds=300)) == "it has ended"
    assert why(ring, text, NOW - LEEWAY) == ""
    assert why(ring, text, NOW - LEEWAY - timedelta(seconds=1)) == "from the future"
    assert why(ring, text, audience="other") == "for another audience"
    assert why(ring, token(ring, audience="bots")) == "for another audience"
    with pytest.raises(RotationError):
        token(ring, seconds=int(LIFETIME.total_seconds()) + 1)


def test_keys_come_and_go() -> None:
    """Accepted through a rotation, refused when the overlap is over, and never by the next or a foreign key."""
    ring = Ring.first(NOW)
    text, turned = token(ring, seconds=3600), ring.turned(NOW)
    assert why(turned, text, NOW + timedelta(minutes=59)) == ""
    late = NOW + SPARE + LIFETIME
    body = {**unpacked(text)[1], "iat": int(late.timestamp()), "exp": int(late.timestamp()) + 60}
    assert "unknown or retired" in why(turned, signed(ring.current, body, KIND), late)
    assert why(turned, signed(turned.current, body, KIND), late) == ""
    for key in (ring.next, fresh(NOW)):
        assert "unknown or retired" in why(ring, signed(key, unpacked(text)[1], KIND))


def test_a_ring_that_leaked_ends_its_tokens_at_once() -> None:
    """A token that was verified and remembered is refused as soon as its key is gone."""
    rings = [Ring.first(NOW)]
    verifier, text = Verifier(lambda: rings[-1]), token(rings[0])
    assert verifier.verify(text, audience="bot", now=NOW).sub == "ann"
    rings.append(Ring.first(NOW))
    with pytest.raises(TokenRefused, match="unknown or retired"):
        verifier.verify(text, audience="bot", now=NOW)


HEADERS: dict[str, list[dict[str, Any]]] = {
    "no algorithm, or another one": [
        {"alg": "none"}, {"alg": "None"}, {"alg": "nOnE"}, {"alg": "HS256"}, {"alg": "ES256"}, {"alg": "EdDSA "},
        {"alg": "eddsa"}, {"alg": "Ed448"},
    ],
    "another kind of token": [{"typ": "JWT"}, {"typ": "at+jwt"}, {"typ": None}, {"typ": KIND.upper()}],
    "unknown or retired": [
        {"kid": ""}, {"kid": "../../etc/passwd"}, {"kid": "' OR 1=1 --"}, {"kid": None}, {"kid": "a\x00b"},
        {"cty": "JWT"}, {"b64": False}, {"extra": "x" * 100},
    ],
    "the header brings": [
        {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}, {"jwk": {"kty": "OKP"}},
        {"crit": ["exp"]}, {"crit": []}, {"x5c": ["MIIB"]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "change"), [(reason, one) for reason, them in HEADERS.items() for one in them])
def test_a_header_that_is_not_ours_is_refused_whoever_signed(reason: str, change: dict[str, object]) -> None:
    """Even with a right signature by the current key; the log says what was tried."""
    ring = Ring.first(NOW)
    head, body = unpacked(token(ring))
    assert why(ring, by_hand(ring, head, body)) == ""
    header = {name: value for name, value in {**head, **change}.items() if value is not None}
    assert reason in why(ring, by_hand(ring, header, body))


def test_the_public_key_is_no_shared_secret() -> None:
    """The classical confusion: HS256 over the published key."""
    ring = Ring.first(NOW)
    head, body = unpacked(token(ring))
    content = f"{part({**head, 'alg': 'HS256'})}.{part(body)}"
    for key in (ring.current.public.encode(), base64.urlsafe_b64decode(ring.current.public + "=")):
        mac = part(hmac.new(key, content.encode(), hashlib.sha256).digest())
        assert why(ring, f"{content}.{mac}") == "no algorithm, or another one"
        assert why(ring, f"{part(head)}.{part(body)}.{mac}") == "no Ed25519 signature"


def test_the_new_name_of_the_algorithm_is_accepted() -> None:
    """RFC 9864: Ed25519 for EdDSA, the same key and signature."""
    ring = Ring.first(NOW)
    head, body = unpacked(token(ring))
    assert head["alg"] == "EdDSA"
    assert why(ring, by_hand(ring, {**head, "alg": "Ed25519"}, body)) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"role": "root"}, {"role": "Admin"}, {"role": ["admin"]}, {"role": None}, {"aud": ["bot"]}, {"aud": None},
        {"exp": None}, {"exp": "9999999999"}, {"exp": True}, {"exp": 1e12}, {"iat": None}, {"sub": None}, {"sub": 7},
        {"sid": None}, {"jti": None}, {"nbf": 0}, {"admin": True}, {"exp": 10**30}, {"iat": -(10**12)},
    ],
)  # fmt: skip
def test_claims_that_are_not_ours_are_refused_whoever_signed(change: dict[str, object]) -> None:
    """A claim missing, of another type, of another value, or one more: none of it is guessed at."""
    ring = Ring.first(NOW)
    head, body = unpacked(token(ring))
    claims = {name: value for name, value in {**body, **change}.items() if value is not None}
    assert why(ring, by_hand(ring, head, claims))


def test_a_member_that_stands_twice_is_refused() -> None:
    """Parsers differ in which one counts: in the header and in the claims, neither does."""
    ring = Ring.first(NOW)
    head, body = unpacked(token(ring))
    twice = json.dumps(body, separators=(",", ":")).replace('"role":"trader"', '"role":"trader","role":"admin"')
    assert "not written as we" in why(ring, by_hand(ring, head, twice.encode()))
    double = json.dumps(head, separators=(",", ":")).replace('"alg":"EdDSA"', '"alg":"none","alg":"EdDSA"')
    assert "another header" in why(ring, by_hand(ring, double.encode(), body))


def test_one_token_has_one_spelling() -> None:
    """Padding, the other alphabet, spare bits, white space, a fourth part: the fingerprint cannot be dodged."""
    ring = Ring.first(NOW)
    text = token(ring).reveal()
    head, body, signature = text.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spare = signature[:-1] + alphabet[alphabet.index(signature[-1]) | 1]
    for other in (
        f"{text}=", f"{text}==", f" {text}", f"{text}\n", f"{text}.", f"{text}.x", f".{text}", f"{head}.{body}",
        f"{head}.{body}.", f"{head}=.{body}.{signature}", f"{head}.{body}=.{signature}", f"{head}.{body}.{spare}",
        f"{head}.{body}.{signature[:-1]}", f"{head}.{body}.{signature}A", f"{head}..{signature}",
        f".{body}.{signature}",
        text.replace("e", "\u0435", 1), text.upper(), "Bearer " + text, f"{head}.{body}.{signature[:-4]}\ud8000000",
    ):  # fmt: skip
        assert why(ring, other), other
    assert why(ring, text) == ""


@pytest.mark.parametrize("text", ["", ".", "..", "...", "a", "a.b.c", "\ud800", "\x00", "e30.e30.", "🙂.🙂.🙂"])
def test_rubbish_is_refused_and_raises_nothing_else(text: str) -> None:
    """Whatever a client sends in the place of a token."""
    assert why(Ring.first(NOW), text)


def test_a_long_token_is_not_looked_at() -> None:
    """A mebibyte, with a header of ours and a right signature, is refused by its length."""
    ring = Ring.first(NOW)
    assert why(ring, token(ring, subject="a" * LONGEST)) == "longer than any token"
    assert why(ring, token(ring).reveal().split(".")[0] + "." * (1 << 20)) == "longer than any token"
    assert why(ring, token(ring, subject="a" * 4000)) == ""


def test_what_is_remembered_is_bounded_and_ends() -> None:
    """A flood of good tokens forgets the oldest; an ended one is refused though it was remembered."""
    ring = Ring.first(NOW)
    verifier = Verifier(lambda: ring, size=8)
    texts = [token(ring, seconds=60 + number) for number in range(30)]
    for text in texts:
        verifier.verify(text, audience="bot", now=NOW)
        assert len(verifier._known) <= 8
    later = NOW + timedelta(seconds=89)
    with pytest.raises(TokenRefused, match="ended"):
        verifier.verify(texts[-1], audience="bot", now=later)
    verifier.verify(token(ring, now=later), audience="bot", now=later)
    assert len(verifier._known) <= 2
    with pytest.raises(TokenRefused, match="audience"):
        Verifier(lambda: ring).verify(texts[-1], audience="else", now=NOW)


def test_the_published_set_is_enough_for_a_stranger() -> None:
    """A third party verifies with PyJWT from the published set alone; nothing private is in it."""
    import jwt

    ring = Ring.first(NOW).turned(NOW)
    published = json.dumps(jwks(ring, NOW))
    assert not any(key.private.reveal() in published for key in ring.keys)
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(published).keys}
    text = token(ring).reveal()
    key = keys[jwt.get_unverified_header(text)["kid"]]
    told = jwt.decode(
        text, key, algorithms=["EdDSA"], audience="bot", options={"verify_exp": False, "verify_iat": False}
    )
    assert told["sub"] == "ann"
