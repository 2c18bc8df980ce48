"""When a certificate is renewed, when it is tried again, and when people hear of it: rules without a clock or a file.

Rules, all of them parts of the lifetime, so that 6, 45, 64 and 90 days are the same to them:

* Due is an instant inside the issuer's advice (RFC 9773), else a little before two thirds of the lifetime. Which one
  follows from the certificate: the same at every look, another one for every certificate.
* With one twentieth left nobody's advice is waited for any more, and pauses become short.
* After a failure there is a pause, doubled by each further one. What the issuer asks for (Retry-After) is respected
  whatever its length, also in an emergency: asking on would only make it longer.
* People are told when a third is left and it should have been renewed, when half of that is left, and when one
  twentieth is left; each once for one certificate.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from cryptography import x509

from nasos.tls.issuer import Advice

DUE_AT: Final = Fraction(2, 3)
"""Part of the lifetime that has passed; Let's Encrypt's own recommendation, and certmagic's ratio."""
JITTER: Final = Fraction(1, 24)
"""Up to this part of the lifetime earlier: not everybody's certificate at the same hour."""
EMERGENCY: Final = Fraction(1, 20)
"""Part that is left; certmagic's."""
LATE: Final = Fraction(1, 24)
"""Part after which a renewal that is due should have been made: 6 h of 6 days, almost 4 days of 90."""
ALERTS: Final = (Fraction(1, 3), Fraction(1, 6), EMERGENCY)
"""Parts that are left."""

FIRST_PAUSE: Final = timedelta(minutes=5)
LONGEST_PAUSE: Final = timedelta(days=1)
LONGEST_PAUSE_PART: Final = Fraction(1, 48)
"""Of the lifetime: 3 h for 6 days, 22 h for 45."""
EMERGENCY_PAUSE: Final = timedelta(hours=1)
EMERGENCY_PAUSE_PART: Final = Fraction(1, 480)
"""Of the lifetime: 18 min for 6 days; 5 failures an hour stop a host at Let's Encrypt."""


@dataclass(frozen=True, slots=True)
class Life:
    """One certificate, as far as renewal is concerned."""

    begin: datetime
    end: datetime
    seed: str
    """What tells it from others: its serial number."""

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Life:
        """Of this certificate."""
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return cls(begin, end, f"{certificate.serial_number:x}")

    @property
    def length(self) -> timedelta:
        """From beginning to end."""
        return self.end - self.begin

    def part(self, fraction: Fraction) -> timedelta:
        """This part of the lifetime."""
        return self.length * fraction.numerator / fraction.denominator

    def left(self, now: datetime) -> Fraction:
        """Which part is left; 0 after the end."""
        rest = max(timedelta(), self.end - now) // timedelta(seconds=1)
        return Fraction(rest, max(1, self.length // timedelta(seconds=1)))

    @property
    def emergency(self) -> datetime:
        """From here on nothing is waited for."""
        return self.end - self.part(EMERGENCY)

    def chance(self) -> float:
        """From 0 to 1, by the seed alone."""
        return int.from_bytes(hashlib.sha256(self.seed.encode()).digest()[:4]) / 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Trials:
    """What happened since the certificate is due."""

    failures: int = 0
    last: datetime | None = None
    """When it was last tried."""
    not_before: datetime | None = None
    """What the issuer asked for."""


class Step(enum.StrEnum):
    """What to do now."""

    WAIT = "wait"
    RENEW = "renew"
    HELD = "held"
    """Due, and in the pause after a failure."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and when to look again."""

    step: Step
    at: datetime
    """When it is due, or when the pause ends."""
    emergency: bool = False


def due(life: Life, advice: Advice | None = None) -> datetime:
    """The instant from which on this certificate is renewed."""
    if advice is not None and advice.start <= advice.end:
        chosen = advice.start + (advice.end - advice.start) * life.chance()
    else:
        chosen = life.begin + life.part(DUE_AT) - life.part(JITTER) * life.chance()
    return min(chosen, life.emergency)


def pause(life: Life, failures: int, *, emergency: bool) -> timedelta:
    """How long to wait after this many failures in a row."""
    longest = (
        min(EMERGENCY_PAUSE, life.part(EMERGENCY_PAUSE_PART))
        if emergency
        else min(LONGEST_PAUSE, life.part(LONGEST_PAUSE_PART))
    )
    doubled: timedelta = FIRST_PAUSE * (1 << min(max(failures - 1, 0), 16))
    return min(doubled, max(longest, FIRST_PAUSE))


def decide(life: Life, now: datetime, trials: Trials, advice: Advice | None = None) -> Decision:
    """What to do at this moment."""
    from_when, emergency = due(life, advice), now >= life.emergency
    if now < from_when:
        return Decision(Step.WAIT, from_when)
    held = held_until(life, now, trials)
    if held is not None:
        return Decision(Step.HELD, held, emergency)
    return Decision(Step.RENEW, from_when, emergency)


def held_until(life: Life, now: datetime, trials: Trials) -> datetime | None:
    """The end of the pause that is on at this moment; None: it may be tried."""
    asked = trials.not_before
    if asked is not None and now < asked:
        return asked
    if not trials.failures or trials.last is None or now < trials.last:  # a clock that was ahead holds nobody up
        return None
    ends = trials.last + pause(life, trials.failures, emergency=now >= life.emergency)
    return ends if now < ends else None


def alert(life: Life, now: datetime, told: Fraction | None) -> Fraction | None:
    """The alert that is to be given now for a certificate that is due and was not renewed; None for silence.

    ``told`` is the one that was given last for this certificate.
    """
    reached = [part for part in ALERTS if life.left(now) <= part]
    if not reached or (told is not None and told <= reached[-1]):
        return None
    return reached[-1]
