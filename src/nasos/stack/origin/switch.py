"""The way to a Cloudflare in front, step by step.

Rules: each step first asks whether it is done already, so that a run that was killed is simply run again; each is
proven before the next. The order is the one in which nobody is locked out: our certificate for the origin, then nginx
trusts the client certificate's CA and asks for it, then Cloudflare gets it and shows it, then the zone is strict, and
only when a request of ours has come in through Cloudflare with that certificate does nginx refuse everybody else. Until
one has come in after that, too, it is a try: what fails then lets them in again, also in the run after one that was
killed. What was seen to work stays required, whatever fails later. One at a time, under the lock of renewals. The way
back is ``mode = "dev"`` and ``nasos tls setup``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import structs

from nasos.cloudflare import pulls as api
from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.names import holds, same
from nasos.cloudflare.pulls import Pull
from nasos.cloudflare.ranges import accepted, fetched, parsed
from nasos.errors import CloudflareRefused, CloudflareUnreachable, TlsError, UsageError
from nasos.files import ExclusiveLock, atomic_write
from nasos.settings import Settings
from nasos.stack.home import Home
from nasos.stack.origin.memory import CLOSED, PULLS, Memory, Stage, place, recall, remember
from nasos.stack.origin.witness import Witness, let_in, trusted
from nasos.tls import pulls
from nasos.tls.pairs import Front

STALE: Final = timedelta(days=1)
"""Age at which Cloudflare's addresses are asked for again."""
DEPLOYED_SECONDS: Final = 600.0
"""Patience until all of Cloudflare has a client certificate; "a few minutes" (its documentation)."""
PAUSES: Final = (1.0, 2.0, 5.0)
"""Seconds between two looks whether it has; the last one again and again."""
_LOGS: Final = "./nasos logs nginx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One stack, one zone."""

    home: Home
    settings: Settings
    client: Client
    zone: Zone
    front: Front
    reach: Callable[[str, str], int | None]
    """Ask for a path of a host as a visitor does, through Cloudflare; the status of the answer, where that is told."""
    knock: Callable[[str, pulls.Pulling, str], None]
    """Ask nginx, past Cloudflare, for a path of a host with a client certificate."""
    say: Callable[[str], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    def begin(self) -> None:
        """Every name is the zone's; which zone that is is remembered for renewals.

        Raises:
            UsageError: One is not: Cloudflare could neither sign for it nor stand in front of it.
        """
        for host in self.settings.tls.hosts:
            if not holds(same(self.zone.name), same(host)):
                raise UsageError(f"{host} is not in the zone {self.zone.name}", "hosts under [tls] in nasos.toml")
        with self._alone():
            self._remember(zone=self.zone.id, api=self.settings.cloudflare.table.api)

    def addresses(self) -> bool:
        """Cloudflare's own, believed or left as they were; whether they are others than before.

        Raises:
            CloudflareUnreachable: The list cannot be believed.
        """
        with self._alone():
            known = self._still()
            old = parsed(known.ipv4, known.ipv6) if known.ipv4 and known.ipv6 else None
            new = accepted(fetched(self.client), old)
            texts = {"ipv4": tuple(map(str, new.ipv4_cidrs)), "ipv6": tuple(map(str, new.ipv6_cidrs))}
            self._remember(fetched=self.now(), **texts)
            self._take_over()
        self.say(f"addresses: {len(new.texts)} networks of Cloudflare's, checked against those known before")
        return (*known.ipv4, *known.ipv6) != new.texts

    def client_certificate(self) -> bool:
        """Cloudflare has one of ours, and shows it; one that nears its end is replaced. Whether it is another one.

        Raises:
            CloudflareRefused: Somebody else's is there.
            CloudflareUnreachable: It is not deployed in time; run again.
        """
        with self._alone():
            self._still()
            there = self._ours()
            good = [each for each in there if pulls.ends(each.certificate.encode()) - self.now() > pulls.RENEW]
            chosen = good[-1] if good else self._uploaded()
            self._await_deployed(chosen)
            if not api.enabled(self.client, self.zone):
                api.enable(self.client, self.zone)
            for each in there:
                if each.id != chosen.id:
                    api.remove(self.client, self.zone, each)
            self._forget_authorities()
            end = pulls.ends(chosen.certificate.encode())
            self._remember(pulls_end=end)
        still = "" if recall(self.home).stage in CLOSED else ", and lets everybody in still"
        self.say(f"client certificate: Cloudflare has ours, until {end:%Y-%m-%d}; nginx asks for it{still}")
        return not good

    def require(self) -> None:
        """Nginx refuses everybody else, from the moment on at which that is proven to work.

        Raises:
            TlsError: No request came in through Cloudflare with our certificate; what was not required before is not.
        """
        with self._alone():
            begun = self._still().stage is not Stage.REQUIRED
            if begun:
                self._begun()
            else:
                self._prove_all("and it stays required")
        self.say(
            "closed: a request through Cloudflare came in with our client certificate, and nobody else is answered"
        )

    def _begun(self) -> None:
        if recall(self.home).stage is Stage.ASKING:
            self._prove_all("before it is required")
        try:
            self._enforce(Stage.UNPROVEN)
            self._prove_all("since it is required")
        except TlsError:
            # Only what is a try still: else whoever disturbs the way through Cloudflare would open the one past it.
            self._enforce(Stage.ASKING)
            raise
        self._remember(stage=Stage.REQUIRED)

    def _still(self) -> Memory:
        """What is known, under the lock.

        Raises:
            TlsError: Somebody went the way back meanwhile.
        """
        known = recall(self.home)
        if known.zone != self.zone.id:
            raise TlsError("somebody went the way back, or to another zone, meanwhile", "run it again")
        return known

    def _alone(self) -> ExclusiveLock:
        return ExclusiveLock(self.home.root / "renew.lock", "a renewal of the edge's certificate")

    def _ours(self) -> list[Pull]:
        """Client certificates of CAs that nginx trusts, the oldest first.

        Raises:
            CloudflareRefused: There are others; Cloudflare shows one only.
        """
        trusted = self._authorities()
        found = api.pulls_of(self.client, self.zone)
        ours = [each for each in found if pulls.made_by(each.certificate.encode(), trusted)]
        if len(ours) != len(found):
            raise CloudflareRefused(
                f"the zone {self.zone.name} has a client certificate of somebody else's for origin pulls",
                "remove it under SSL/TLS, Origin Server, or with whoever made it, then run it again",
            )
        return sorted(ours, key=lambda each: pulls.ends(each.certificate.encode()))

    def _uploaded(self) -> Pull:
        fresh = pulls.fresh(self.now())
        # Trusted before it is shown: killed in between, there is one CA more, which has signed nothing else.
        self._trust(self._authorities() + fresh.ca)
        runs = self._enforce(Stage.ASKING) if recall(self.home).stage is Stage.OPEN else self._take_over()
        if runs:
            self._prove_trusted(fresh)
        return api.upload(self.client, self.zone, fresh.certificate.decode(), fresh.key)

    def _prove_trusted(self, fresh: pulls.Pulling) -> None:
        """Old workers trust what they were started with: Cloudflare gets nothing to show that nginx may refuse."""
        host = self.settings.tls.hosts[0]

        def knock(path: str) -> None:
            self.knock(host, fresh, path)

        if self._witness().until_seen(host, knock, trusted) is not None:
            raise TlsError("nginx does not take the new client certificate; Cloudflare was not given it", _LOGS)

    def _await_deployed(self, chosen: Pull) -> None:
        left, pauses = DEPLOYED_SECONDS, iter(PAUSES)
        while chosen.status != "active":
            if left <= 0:
                raise CloudflareUnreachable(
                    f"Cloudflare has not deployed our client certificate yet ({chosen.status})", "run it again later"
                )
            pause = next(pauses, PAUSES[-1])
            self.sleep(pause)
            left -= pause
            again = [each for each in api.pulls_of(self.client, self.zone) if each.id == chosen.id]
            if not again:
                raise CloudflareRefused("somebody removed our client certificate meanwhile", "run it again")
            chosen = again[0]
        if recall(self.home).stage is Stage.OPEN:
            self._enforce(Stage.ASKING)

    def _forget_authorities(self) -> None:
        """Those of which Cloudflare has no certificate any more, not even one that is about to go."""
        trusted, kept = self._authorities(), {}
        for each in api.all_of(self.client, self.zone):
            ca = pulls.made_by(each.certificate.encode(), trusted) if each.status != "deleted" else None
            if ca is not None:
                kept[ca.serial_number] = pulls.pem(ca)
        if kept and b"".join(kept.values()) != trusted:
            self._trust(b"".join(kept.values()))
            self._take_over()

    def _authorities(self) -> bytes:
        try:
            return (place(self.home) / PULLS).read_bytes()
        except FileNotFoundError:
            return b""

    def _trust(self, authorities: bytes) -> None:
        atomic_write(place(self.home) / PULLS, authorities, 0o644, owner=self.home.users.uid("nginx"))

    def _enforce(self, stage: Stage) -> bool:
        self._remember(stage=stage)
        return self._take_over()

    def _take_over(self) -> bool:
        """What is known now is what nginx does; False: it does not run, and will do so when it starts."""
        self.front.check()
        return self.front.reload()

    def _remember(self, **changed: object) -> None:
        remember(self.home, structs.replace(recall(self.home), **changed))

    def _prove_all(self, when: str) -> None:
        for host in self.settings.tls.hosts:
            self._prove(host, when)

    def _prove(self, host: str, when: str) -> None:
        flaw = self._witness().until_seen(host, lambda path: self.reach(host, path), let_in)
        if flaw is not None:
            raise TlsError(f"a request for {host} {flaw.what}, {when}", flaw.hint)

    def _witness(self) -> Witness:
        return Witness(self.home.root / "nginx" / "access.log", self.sleep)


def stale(known: Memory, now: datetime) -> bool:
    """Whether addresses or client certificate are to be looked after."""
    asked = known.fetched is None or now - known.fetched >= STALE
    return asked or known.pulls_end is None or known.pulls_end - now <= pulls.RENEW
