"""Tokens built from every mixture of right and wrong parts, with joserfc and PyJWT as the judges."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import jwt as pyjwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import errors as joserfc_errors
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from nasos.errors import TokenRefused
from nasos.gateway.access import Role
from nasos.gateway.tokens import KIND, Claims, accepted, verify
from nasos.rotation.signing import Key, Ring, fresh
from nasos.secret import Secret

NOW: Final = datetime.now(UTC)
MOMENT: Final = int(NOW.timestamp())
RING: Final = Ring.first(NOW).turned(NOW)
FOREIGN: Final = fresh(NOW)
SIGNERS: Final = {"current": RING.current, "previous": RING.previous or FOREIGN, "next": RING.next, "foreign": FOREIGN}
LEEWAY: Final = 60


def leeway() -> int:
    """For the oracles, which look at the clock themselves: this module may have been read half an hour ago."""
    return LEEWAY + int((datetime.now(UTC) - NOW).total_seconds())


GOOD_HEADER: Final = {"alg": "EdDSA", "typ": KIND}
GOOD_CLAIMS: Final = {
    "sub": "ann", "role": "viewer", "sid": "s", "aud": "bot", "jti": "j", "iat": MOMENT - 30, "exp": MOMENT + 600,
}  # fmt: skip
WRONG_HEADER: Final[st.SearchStrategy[dict[str, Any]]] = st.sampled_from([
    {"alg": "none"}, {"alg": "HS256"}, {"alg": "EdDSA"}, {"alg": "Ed25519"}, {"alg": "ES256"}, {"alg": None},
    {"alg": 5}, {"typ": "JWT"}, {"typ": None}, {"kid": FOREIGN.kid}, {"kid": RING.next.kid}, {"kid": "../x"},
    {"kid": None}, {"jku": "https://evil.example"}, {"x5u": "https://evil.example"}, {"crit": ["exp"]},
    {"b64": False, "crit": ["b64"]},
    {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": FOREIGN.public}}, {"zip": "DEF"}, {"cty": "JWT"},
])  # fmt: skip
WRONG_CLAIMS: Final[st.SearchStrategy[dict[str, Any]]] = st.sampled_from([
    {"aud": "other"}, {"aud": ["bot", "other"]}, {"aud": None}, {"exp": MOMENT - 3600}, {"exp": MOMENT + 10**7},
    {"exp": None}, {"exp": "soon"}, {"iat": MOMENT + 3600}, {"iat": None}, {"iat": "x"}, {"nbf": MOMENT + 3600},
    {"role": "root"}, {"role": None}, {"sub": None}, {"sub": 5}, {"type": "refresh"}, {"exp": MOMENT + 600.0},
    {"role": "admin"}, {"sid": ""}, {"sub": "\u00e9"},
])  # fmt: skip
DAMAGE: Final = st.sampled_from(["", "", "", "=", "space", "twice", "flip", "cut", "more", "pretty", "order", "part"])


def part(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def raw(key: Key) -> bytes:
    """The private key."""
    return base64.urlsafe_b64decode(key.private.reveal() + "=")


def rarely(wrong: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Mostly nothing wrong, so that the cases in which all is right are not lost among the others."""
    return st.just([]) | st.just([]) | st.lists(wrong, min_size=1, max_size=2)


def changed(good: Mapping[str, Any], changes: list[dict[str, Any]]) -> dict[str, Any]:
    """With these members; None takes one out."""
    whole = dict(good)
    for change in changes:
        whole |= change
    return {name: value for name, value in whole.items() if value is not None}


def as_the_gateway_writes(header: dict[str, Any], claims: dict[str, Any], kid: str) -> bool:
    """What the rules say about header and claims: all as in the good ones, but for what may differ between tokens."""
    free = {"role": ("viewer", "admin"), "sub": ("ann", "\u00e9"), "sid": ("s", "")}
    return (
        [*header.items()] in [[("alg", name), ("typ", KIND), ("kid", kid)] for name in ("EdDSA", "Ed25519")]
        and [*claims] == [*GOOD_CLAIMS]
        and all(claims[name] in allowed for name, allowed in free.items())
        and all(repr(claims[name]) == repr(GOOD_CLAIMS[name]) for name in set(GOOD_CLAIMS) - set(free))
    )


def damaged(text: str, how: str) -> str:
    """Another spelling of a whole token."""
    others = {"=": text + "==", "space": text + " ", "cut": text[:-2], "more": text + "AA", "part": text + ".x"}
    return others.get(how, text)


@st.composite
def tokens(draw: st.DrawFn) -> tuple[str, bool]:
    """A token, and whether a careful reader of the rules would take it."""
    signer = draw(st.sampled_from(["current"] * 5 + ["previous"] * 3 + ["next", "foreign", "hmac", "empty"]))
    key = SIGNERS.get(signer, RING.current)
    header = changed({**GOOD_HEADER, "kid": key.kid}, draw(rarely(WRONG_HEADER)))
    claims = changed(GOOD_CLAIMS, draw(rarely(WRONG_CLAIMS)))
    damage = draw(DAMAGE)
    separators = (", ", ": ") if damage == "pretty" else (",", ":")
    ordered = dict(reversed(claims.items())) if damage == "order" else claims
    head, body = (json.dumps(each, separators=separators, ensure_ascii=False) for each in (header, ordered))
    if damage == "twice":
        body = body[:-1] + ',"role":"admin"}'
    content = f"{part(head.encode())}.{part(body.encode())}"
    signature = Ed25519PrivateKey.from_private_bytes(raw(key)).sign(content.encode())
    if signer == "hmac":
        signature = hmac.new(key.public.encode(), content.encode(), hashlib.sha256).digest()
    if damage == "flip":
        signature = bytes([signature[0] ^ 1]) + signature[1:]
    text = damaged(f"{content}.{'' if signer == 'empty' else part(signature)}", damage)
    right = signer in ("current", "previous") and not damage
    return text, right and as_the_gateway_writes(header, claims, key.kid)


def ours(text: str) -> Claims | None:
    """What nasos reads."""
    try:
        return verify(Secret(text), accepted(RING, NOW), audience="bot", now=NOW)
    except TokenRefused:
        return None


def by_joserfc(text: str) -> Mapping[str, Any] | None:
    """What joserfc reads, given the two keys and told to check audience and times."""
    keys = {
        key.kid: OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": key.public})
        for key in (SIGNERS["current"], SIGNERS["previous"])
    }
    registry = joserfc_jwt.JWTClaimsRegistry(
        leeway=leeway(), aud={"essential": True, "value": "bot"}, exp={"essential": True}, iat={"essential": True}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # EdDSA is deprecated by RFC 9864
        try:
            found = joserfc_jwt.decode(
                text,
                lambda this: keys[this.headers()["kid"]],
                registry=JWSRegistry(algorithms=["EdDSA", "Ed25519"], strict_check_header=False),
            )
            registry.validate(found.claims)
        except (joserfc_errors.JoseError, KeyError, ValueError, TypeError):
            return None
    return dict(found.claims)


def by_pyjwt(text: str) -> Mapping[str, Any] | None:
    """What PyJWT reads; it knows EdDSA only by its old name."""
    keys = {
        key.kid: Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.public + "="))
        for key in (SIGNERS["current"], SIGNERS["previous"])
    }
    try:
        key = keys[str(pyjwt.get_unverified_header(text).get("kid"))]
        told: Mapping[str, Any] = pyjwt.decode(
            text, key, algorithms=["EdDSA"], audience="bot", leeway=leeway(), options={"require": ["exp", "iat", "aud"]}
        )
    except (pyjwt.PyJWTError, KeyError, ValueError, TypeError):
        return None
    return told


@given(tokens())
@settings(max_examples=600, deadline=None)
def test_what_we_accept_both_oracles_accept_and_nobody_else_decides(case: tuple[str, bool]) -> None:
    """Exactly the tokens that the rules allow; each of them reads the same in joserfc and PyJWT."""
    text, good = case
    mine = ours(text)
    assert (mine is not None) is good
    if mine is None:
        return
    named = {name: getattr(mine, name) for name in GOOD_CLAIMS}
    assert by_joserfc(text) == named
    head = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    if head["alg"] == "EdDSA":
        assert by_pyjwt(text) == named


@given(st.text(max_size=200) | st.binary(max_size=100).map(part).map(lambda middle: f"{middle}.{middle}.{middle}"))
@settings(max_examples=200, deadline=None)
def test_no_text_is_a_token_and_none_raises_anything_else(text: str) -> None:
    """Random text is refused by all three, and never in another way than by refusal."""
    assert ours(text) is None
    assert by_pyjwt(text) is None


@given(st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_no_byte_of_a_good_token_can_be_changed(place: int, byte: int) -> None:
    """Any other character at any place makes it another, refused token."""
    from nasos.gateway.tokens import issue

    text = issue(RING, subject="ann", role=Role.VIEWER, session="s", audience="bot", now=NOW, seconds=60).reveal()
    place %= len(text)
    changed = text[:place] + chr(byte) + text[place + 1 :]
    assert (ours(changed) is not None) is (changed == text)
