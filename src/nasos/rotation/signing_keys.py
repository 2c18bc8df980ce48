"""The rotator of the gateway's ring of signing keys.

Rules: nothing outside Vault has to be told, and the ring itself says until when the key before is accepted; what is
left is proof: a token by every key of the old ring is made, and refused or accepted as the rules say. A ring that
waited too long for its promotion (a killed rotator) is replaced, for its overlap counts from its making.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nasos.errors import CandidateRejected, CredentialRejected, RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence
from nasos.rotation.signing import LEEWAY, LIFETIME, SPARE, Key, Ring, decoded, encoded, fresh, signed, verified


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """A `Rotator` for the record ``gateway/signing``."""

    now: Callable[[], datetime]

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        return encoded(decoded(current).turned(self.now()))

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`: the old current key signs again, with a new successor."""
        held, before, now = decoded(current), decoded(old), self.now()
        return encoded(Ring(before.current.placed(now), fresh(now), held.current.placed(now)))

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`: nobody needs to be told."""

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`."""
        ring, now = decoded(candidate), self.now()
        if now - ring.current.since > LEEWAY:
            raise CandidateRejected("the ring was made too long ago for its overlap")
        token = ring.sign({"sub": "test"}, now)
        if ring.verify(token, now).get("sub") != "test":
            raise CandidateRejected("a token does not say what was signed")
        if ring.previous and not _accepts(ring, ring.previous, now):
            raise CandidateRejected("tokens of the key before would be refused at once")
        return f"{ring.current.kid} signs and verifies"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`: there is nobody to ask, the ring itself says it."""
        return None

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: whoever remembers the set that is published now takes tokens of the next ring."""
        candidate, now = self.create(current), self.now()
        proof, turned = self.test(candidate), decoded(candidate)
        published = {key["kid"]: key["x"] for key in decoded(current).jwks(now)["keys"]}
        try:
            verified(turned.sign({"sub": "test"}, now), published)
        except CredentialRejected:
            raise CandidateRejected(f"the key {turned.current.kid} was not published ahead") from None
        return f"{proof}, and was published ahead"

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`: tokens are not counted."""
        return 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`."""
        before, ring, now = decoded(old), decoded(kept), self.now()
        accepted = {key.kid for key in ring.accepted(now)}
        for key in before.keys:
            if _accepts(ring, key, now) is not (key.kid in accepted):
                raise RotationError(f"a token of the key {key.kid} is not treated as the ring says")
        refused = [key.kid for key in before.keys if key.kid not in accepted]
        told = [f"{', '.join(refused)} refused"] if refused else []
        if ring.previous and ring.previous.kid in accepted:
            told.append(
                f"{ring.previous.kid} accepted until {ring.previous.since + SPARE + LIFETIME:%Y-%m-%d %H:%M} UTC"
            )
        return "; ".join(told) or "nothing of it is accepted"


def _accepts(ring: Ring, key: Key, now: datetime) -> bool:
    claims = {"iat": int(now.timestamp()), "exp": int((now + LIFETIME).timestamp())}
    try:
        ring.verify(signed(key, claims), now)
    except CredentialRejected:
        return False
    return True
