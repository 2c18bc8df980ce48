"""The edge's certificate by ACME or Cloudflare's Origin CA: looked at, renewed, put into use, proven, or taken back.

Rules:

* One at a time (a lock), and everything is looked at again under it: a certificate that somebody else renewed meanwhile
  is not renewed twice.
* Until the new pair is live nothing of the old one is touched; until a handshake with the running nginx has shown the
  new one, the old one is kept.
* Each try is written down before it is made. What the CA asks for (Retry-After) holds for everybody, a person with
  ``--force`` included; our own pauses are for the program that looks by itself.
* Said in the ledger: what was issued, each try that failed, and that a certificate nears its end.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from nasos.errors import Error, IssuerBusy, TlsError
from nasos.files import ExclusiveLock, atomic_write, private_directory, read_private
from nasos.ledger import Ledger, Outcome
from nasos.settings import Settings
from nasos.stack.home import Home
from nasos.tls import attempts as memory
from nasos.tls import names, renewal
from nasos.tls.attempts import Attempts
from nasos.tls.certificate import Key, key_pem, names_of, new_key, parse_key, request
from nasos.tls.chain import Chain, judge, read_roots
from nasos.tls.issuer import Issuer
from nasos.tls.pairs import CHAIN, Front, Pairs, install, settle
from nasos.tls.renewal import Life, Step
from nasos.tls.trust import edge_pairs, public_roots

Now = Callable[[], datetime]
Make = Callable[[Key, bytes | None], Issuer]
"""An issuer for this account, told what its next chain replaces."""

FIRST: Final = timedelta(days=90)
"""Lifetime that pauses are measured by while there is no certificate."""
ASK_AGAIN: Final = timedelta(hours=6)
"""For advice, when the CA could not be asked."""
MANY: Final = 3
"""Failed tries for a first certificate after which people are told."""


class Why(enum.StrEnum):
    """What a look found."""

    GOOD = ""
    MISSING = "no certificate"
    NAMES = "other host names are wanted"
    DUE = "due for renewal"
    ASKED = "asked for"


@dataclass(frozen=True, slots=True)
class Looked:
    """How a look ended."""

    issued: bool
    reason: Why
    at: datetime | None
    """When it is due, or tried again; None where it was just renewed."""
    chain: Chain | None


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """The certificate of one stack's edge."""

    home: Home
    settings: Settings
    make: Make
    front: Front
    now: Now
    actor: str = "operator"
    retire: Callable[[bytes], None] | None = None
    """Told the chain that was replaced, once the new one has been shown; where an issuer ends it by itself."""

    def look(self, *, force: bool = False, patient: bool = False) -> Looked:
        """Renew it where that is due, or wanted; ``patient``: only when no pause is on.

        Raises:
            AlreadyRunning: Another look is under way.
            IssuerBusy: The CA asked for patience until a moment that has not come.
            TlsError: It was tried and failed; what was good before is in use.
        """
        private_directory(self._pairs.root, mode=self._pairs.mode)
        with ExclusiveLock(self.home.root / "renew.lock", "a renewal of the edge's certificate"):
            self._settle()
            before, chain = memory.read(self._pairs.root), self._pairs.chain()
            tried = self._advised(before.of(_serial(chain)), chain)
            if tried != before:
                memory.write(self._pairs.root, tried)
            reason, at = self._reason(chain, tried, force=force)
            if reason is Why.GOOD:
                return Looked(issued=False, reason=reason, at=at, chain=chain)
            held = self._held(chain, tried, patient=patient)
            if held is not None:
                self._alert(chain, tried)
                return Looked(issued=False, reason=reason, at=held, chain=chain)
            return Looked(issued=True, reason=reason, at=None, chain=self._renewed(chain, tried, reason))

    def work_to_do(self) -> bool:
        """Whether a patient look would do more than look; changes nothing, asks nobody."""
        chain = self._pairs.chain()
        tried = memory.read(self._pairs.root).of(_serial(chain))
        if not self._pairs.settled:
            return True
        if chain is not None and (tried.ask_again is None or tried.ask_again <= self.now()):
            return True
        if self._reason(chain, tried, force=False)[0] is Why.GOOD:
            return False
        return self._held(chain, tried, patient=True) is None or self._due_alert(chain, tried) is not None

    @property
    def _pairs(self) -> Pairs:
        return edge_pairs(self.home.tls, self.home.users.uid("nginx"), self.settings.tls.mode)

    def _settle(self) -> None:
        """What a killed look, or one without a running nginx, left unproven."""
        if self._pairs.settled:
            return
        try:
            settle(self._pairs, self.front)
        except TlsError as error:
            self._tell("tls.renew", Outcome.FAILED, {"why": error.message})

    def _advised(self, tried: Attempts, chain: Chain | None) -> Attempts:
        """With the issuer's newest advice; one that cannot be had now changes nothing."""
        now, live = self.now(), self._pairs.target("live")
        if chain is None or live is None or (tried.ask_again is not None and now < tried.ask_again):
            return tried
        if tried.not_before is not None and now < tried.not_before:
            return tried
        try:
            advice = self._issuer(None).advice((live / CHAIN).read_bytes(), now=now)
        except IssuerBusy as busy:
            return tried.advised(None, max(busy.until or now, now + ASK_AGAIN))
        except (TlsError, OSError):
            return tried.advised(None, now + ASK_AGAIN)
        return tried.advised(advice, now + ASK_AGAIN)

    def _reason(self, chain: Chain | None, tried: Attempts, *, force: bool) -> tuple[Why, datetime | None]:
        if chain is None:
            return Why.MISSING, None
        if set(names_of(chain.leaf)) != {str(host) for host in names.hosts(self.settings.tls.hosts)}:
            return Why.NAMES, None
        if force:
            return Why.ASKED, None
        decision = renewal.decide(Life.of(chain.leaf), self.now(), tried.trials, tried.advice)
        return (Why.GOOD if decision.step is Step.WAIT else Why.DUE), decision.at

    def _held(self, chain: Chain | None, tried: Attempts, *, patient: bool) -> datetime | None:
        """The end of the pause that is on.

        Raises:
            IssuerBusy: It is the CA's, and a person is waiting.
        """
        now, asked = self.now(), tried.not_before
        if patient:
            # While there is no certificate, pauses are those of a long one.
            life = Life.of(chain.leaf) if chain else Life(now, now + FIRST, "")
            return renewal.held_until(life, now, tried.trials)
        if asked is not None and now < asked:
            raise IssuerBusy(f"the CA asked for patience until {asked:%Y-%m-%d %H:%M} UTC", "date -u", until=asked)
        return None

    def _renewed(self, chain: Chain | None, tried: Attempts, reason: Why) -> Chain:
        tried = tried.tried(self.now())
        memory.write(self._pairs.root, tried)
        try:
            fresh = self._installed()
        except Error as error:
            until = error.until if isinstance(error, IssuerBusy) else None
            tried = tried.failed(error.message, until)
            memory.write(self._pairs.root, tried)
            detail = {"reason": reason, "why": error.message, "tries": str(tried.failures)}
            self._tell("tls.renew", Outcome.FAILED, detail)
            self._alert(chain, tried)
            raise
        memory.write(self._pairs.root, Attempts(serial=_serial(fresh)))
        end = fresh.leaf.not_valid_after_utc
        self._tell("tls.issue", Outcome.OK, {"reason": reason, "not_after": end.isoformat(), "program": "nginx"})
        return fresh

    def _installed(self) -> Chain:
        """A fresh pair: key made here, chain judged, swapped, proven."""
        hosts, live = names.hosts(self.settings.tls.hosts), self._pairs.target("live")
        key, replaces = new_key(), (live / CHAIN).read_bytes() if live is not None and self._pairs.chain() else None
        pem = self._issuer(replaces).issue(request(key, "", hosts), now=self.now())
        chain, roots = Chain.parse(pem), read_roots(public_roots(self.settings.tls))
        judge(chain, public_key=key.public_key(), hosts=hosts, roots=roots, now=self.now())
        shown = install(self._pairs, self.front, pem, key)
        if shown and replaces is not None and self.retire is not None:
            self._retire(self.retire, replaces)
        return chain

    def _retire(self, retire: Callable[[bytes], None], replaced: bytes) -> None:
        """What cannot be ended now ends with its lifetime; the new one serves already."""
        try:
            retire(replaced)
        except Error as error:
            self._tell("tls.renew", Outcome.FAILED, {"why": f"the certificate before was not revoked: {error.message}"})

    def _issuer(self, replaces: bytes | None) -> Issuer:
        # At Cloudflare there is no account of ours: a token is asked for, and no key is kept.
        account = account_key(self.home) if self.settings.tls.mode == "acme" else new_key()
        return self.make(account, replaces)

    def _due_alert(self, chain: Chain | None, tried: Attempts) -> Fraction | None:
        if not tried.failures:
            return None
        if chain is None:
            return Fraction(1, 1) if tried.failures >= MANY and not tried.told else None
        return renewal.alert(Life.of(chain.leaf), self.now(), tried.alerted)

    def _alert(self, chain: Chain | None, tried: Attempts) -> None:
        part = self._due_alert(chain, tried)
        if part is None:
            return
        end = f"{chain.leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC" if chain else "there is none yet"
        self._tell("tls.expiring", Outcome.FAILED, {"end": end, "tries": str(tried.failures), "why": tried.error})
        memory.write(self._pairs.root, tried.alerted_at(part))

    def _tell(self, event: str, outcome: Outcome, detail: dict[str, str]) -> None:
        Ledger(self.home.ledger, self.actor).append(event, "edge", outcome, detail)


def _serial(chain: Chain | None) -> str:
    return Life.of(chain.leaf).seed if chain else ""


def account_key(home: Home) -> Key:
    """The account at the CA's, made when it is needed first.

    Raises:
        TlsError: The file is damaged.
        FileRefused: Others could read it, or it cannot be written.
    """
    path = home.tls / "acme" / "account.key"
    if not path.exists():
        key = new_key()
        atomic_write(path, key_pem(key))
        return key
    try:
        return parse_key(read_private(path))
    except TlsError as error:
        raise TlsError(
            f"{path} is damaged: {error}", f'"rm {path}", then "./nasos tls renew" makes a new account'
        ) from None
