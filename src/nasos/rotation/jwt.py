"""What signs and guards the bot's logins: fields that are swapped inside the running bot.

Rules: there is no overlap, the bot knows one of each; the launcher swaps them in place and the bot is never down.
A field counts as replaced when the bot takes what the new one makes, and refuses what the old one makes, which is
tried: a token signed here with the old key, a login with the old password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from nasos.errors import CandidateRejected, RotationError
from nasos.rotation.journal import Fields
from nasos.rotation.password import RandomFields
from nasos.rotation.rotator import Fence
from nasos.secret import Secret

LIFETIME: Final = timedelta(minutes=1)
"""Of a token that is made for a proof."""
SUBJECT: Final = "nasos"
"""In whose name; freqtrade looks at the signature, and that there is one (2026.9, ``get_user_from_token``)."""

Accepts: TypeAlias = Callable[[Fields, Sequence[str]], Sequence[str] | None]
"""Which of the named fields the bot accepts with the value given; None when it does not run and cannot be asked."""


@dataclass(frozen=True, slots=True)
class BotFields(RandomFields):
    """A `Rotator` for fields of the records ``api`` and ``jwt`` of a bot."""

    tried: Accepts = field(kw_only=True)

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`."""
        asked = [name for name in self.fields if fields.get(name) != kept.get(name)]
        taken = self.tried(fields, asked)
        # Of what is current everything has to work; of what was replaced, nothing may.
        return None if taken is None else bool(taken) if kept else set(taken) == set(asked)

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: the bot takes what is stored and, at this moment, refuses a candidate."""
        candidate, names = self.create(current), ", ".join(self.fields)
        self.test(candidate)
        taken = self.tried(current, self.fields)
        if taken is None:
            return f"{names}: a new value can be made; the bot does not run, and reads it when it starts"
        refused = [name for name in self.fields if name not in taken]
        if refused:
            raise CandidateRejected(f"the bot does not take the {', '.join(refused)} that is stored")
        anything = self.tried(candidate, self.fields)
        if anything:
            raise CandidateRejected(f"the bot takes any {', '.join(anything)}: a rotation would prove nothing")
        return f"the bot takes the {names} that is stored and no other; that it swaps them shows when it does"

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`: the consumers have confirmed, so what is left is the proof."""
        replaced = [name for name in self.fields if old.get(name) != kept.get(name)]
        still = self.tried(old, replaced)
        if still is None:
            return f"{', '.join(self.fields)} of before: not tried, the bot does not run"
        if still:
            raise RotationError(f"the bot still accepts the {', '.join(still)} of before", "nasos rotate resume")
        return f"{', '.join(self.fields)} of before refused"


def signed(key: Secret, now: datetime) -> Secret:
    """An access token as freqtrade makes it (HS256, RFC 7515), signed with its ``jwt_secret_key``."""
    claims = {
        "identity": {"u": SUBJECT},
        "exp": int((now + LIFETIME).timestamp()),
        "iat": int(now.timestamp()),
        "type": "access",
    }
    text = b".".join(_segment(msgspec.json.encode(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.new(key.reveal().encode(), text, hashlib.sha256).digest()
    return Secret((text + b"." + _segment(signature)).decode())


def _segment(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
