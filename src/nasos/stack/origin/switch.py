"""The way to a Cloudflare in front, step by step.

Rules: each step first asks whether it is done already, so that a run that was killed is simply run again; each is
proven before the next. The order is the one in which nobody is locked out: our certificate for the origin, then nginx
trusts the client certificate's CA and asks for it, then Cloudflare gets it and shows it, then the zone is strict, and
only when a request of ours has come in through Cloudflare with that certificate does nginx refuse everybody else. When
one fails right after that, it lets them in again; what an earlier run required stays required, whatever fails. The way
back is ``mode = "dev"`` and ``nasos tls setup``.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from msgspec import structs

from nasos.cloudflare import pulls as api
from nasos.cloudflare.answers import Zone
from nasos.cloudflare.client import Client
from nasos.cloudflare.names import holds, same
from nasos.cloudflare.pulls import Pull
from nasos.cloudflare.ranges import accepted, fetched, parsed
from nasos.errors import CloudflareRefused, CloudflareUnreachable, TlsError, UsageError
from nasos.files import atomic_write
from nasos.settings import Settings
from nasos.stack.home import Home
from nasos.stack.origin.memory import PULLS, Memory, Stage, place, recall, remember
from nasos.tls import pulls
from nasos.tls.pairs import Front

STALE: Final = timedelta(days=1)
"""Age at which Cloudflare's addresses are asked for again."""
DEPLOYED_SECONDS: Final = 600.0
"""Patience until all of Cloudflare has a client certificate; "a few minutes" (its documentation)."""
PROOFS: Final = 10
"""Requests, a second apart, of which one has to come in as it should."""
LOOKS: Final = 20
"""At the log, which is written after the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One stack, one zone."""

    home: Home
    settings: Settings
    client: Client
    zone: Zone
    front: Front
    reach: Callable[[str, str], None]
    """Ask for a path of a host as a visitor does, through Cloudflare."""
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
        self._remember(zone=self.zone.id, api=self.settings.cloudflare.table.api)

    def addresses(self) -> None:
        """Cloudflare's own, believed or left as they were.

        Raises:
            CloudflareUnreachable: The list cannot be believed.
        """
        known = recall(self.home)
        old = parsed(known.ipv4, known.ipv6) if known.ipv4 and known.ipv6 else None
        new = accepted(fetched(self.client), old)
        texts = {"ipv4": tuple(map(str, new.ipv4_cidrs)), "ipv6": tuple(map(str, new.ipv6_cidrs))}
        self._remember(fetched=self.now(), **texts)
        self._take_over()
        self.say(f"Cloudflare's addresses: {len(new.texts)} networks")

    def client_certificate(self) -> None:
        """Cloudflare has one of ours, and shows it; one that nears its end is replaced.

        Raises:
            CloudflareRefused: Somebody else's is there.
            CloudflareUnreachable: It is not deployed in time; run again.
        """
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
        self.say(f"Cloudflare shows our client certificate, until {end:%Y-%m-%d}")

    def require(self) -> None:
        """Nginx refuses everybody else, from the moment on at which that is proven to work.

        Raises:
            TlsError: No request came in through Cloudflare with our certificate; what was not required before is not.
        """
        begun = recall(self.home).stage is not Stage.REQUIRED
        if begun:
            self._prove_all("before it is required")
            self._enforce(Stage.REQUIRED)
        try:
            self._prove_all("since it is required" if begun else "and it stays required")
        except TlsError:
            # Only what this run began: else whoever disturbs the way through Cloudflare would open the one past it.
            if begun:
                self._enforce(Stage.ASKING)
            raise
        self.say("nginx answers Cloudflare with our client certificate, and nobody else")

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
        if recall(self.home).stage is Stage.OPEN:
            self._enforce(Stage.ASKING)
        else:
            self._take_over()
        return api.upload(self.client, self.zone, fresh.certificate.decode(), fresh.key)

    def _await_deployed(self, chosen: Pull) -> None:
        left = DEPLOYED_SECONDS
        while chosen.status != "active":
            if left <= 0:
                raise CloudflareUnreachable(
                    f"Cloudflare has not deployed our client certificate yet ({chosen.status})", "run it again later"
                )
            self.sleep(5)
            left -= 5
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

    def _enforce(self, stage: Stage) -> None:
        self._remember(stage=stage)
        self._take_over()

    def _take_over(self) -> None:
        self.front.check()
        self.front.reload()

    def _remember(self, **changed: object) -> None:
        remember(self.home, structs.replace(recall(self.home), **changed))

    def _prove_all(self, when: str) -> None:
        for host in self.settings.tls.hosts:
            self._prove(host, when)

    def _prove(self, host: str, when: str) -> None:
        """Ask until it is seen: for a moment after a reload nginx's old workers still answer."""
        for left in reversed(range(PROOFS)):
            flaw = self._flaw(host)
            if flaw is None:
                return
            if not left:
                raise TlsError(f"a request for {host} {flaw[0]}, {when}", flaw[1])
            self.sleep(1)

    def _flaw(self, host: str) -> tuple[str, str] | None:
        """A request for something that nobody else can know of, looked for in our own log."""
        path = f"/.well-known/nasos-{secrets.token_hex(8)}"
        self.reach(host, path)
        line, log = None, self.home.root / "nginx" / "access.log"
        for _ in range(LOOKS):
            line = _logged(log, path)
            if line is not None:
                break
            self.sleep(0.1)
        if line is None:
            return "did not reach nginx", f"does the proxied record of {host} lead here, and is the port open?"
        if line.get("pulled") != "SUCCESS" or line.get("status") == 444:
            return "came in without our client certificate", f"is {host} a proxied record? ./nasos cloudflare plan"
        return None


def stale(known: Memory, now: datetime) -> bool:
    """Whether addresses or client certificate are to be looked after."""
    asked = known.fetched is None or now - known.fetched >= STALE
    return asked or known.pulls_end is None or known.pulls_end - now <= pulls.RENEW


def _logged(log: Path, path: str) -> dict[str, object] | None:
    try:
        lines = log.read_text(errors="replace").splitlines()[-2000:]
    except OSError:
        return None
    for line in reversed(lines):
        if path in line:
            try:
                found = json.loads(line)
            except ValueError:
                return None
            return found if isinstance(found, dict) else None
    return None
