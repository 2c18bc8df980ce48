"""The loop: what containers ask for, and zones that follow.

Rules:

* Hints say when to look; a look at the containers and at the zone is the truth. A burst of hints is one round, a round
  is one batch per zone, and a round for which nothing changed asks Cloudflare nothing until a minute has passed.
* Could not look is never "nothing there": what is wrong is said, the zones are left as they are, and the next try waits
  longer than the one before. During a pause that Cloudflare asked for nothing is sent.
* What was seen to be unwanted goes after the grace, also across restarts; by a clock that does not jump.
* The token is asked for again each hour, and when it is refused; a Vault that is away then changes nothing.
* It may be killed at any instant: nothing but graces is remembered, the zone itself says the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from nasos.cloudflare import standing
from nasos.cloudflare.answers import Record, Zone
from nasos.cloudflare.apply import Applied, converge
from nasos.cloudflare.feed import Feed
from nasos.cloudflare.labels import Desired, desired
from nasos.cloudflare.memory import Memory, recall, remember
from nasos.cloudflare.names import same
from nasos.cloudflare.plan import Plan, Terms, plan
from nasos.cloudflare.site import Site
from nasos.cloudflare.stop import Stop, Stopped
from nasos.errors import ApiTokenRefused, CloudflareRefused, Error, FileRefused, PermissionMissing
from nasos.ledger import Outcome

PATIENCE: Final = 10.0
"""Seconds that one call waits because Cloudflare asked; what is longer, the loop waits."""
TOKEN_TROUBLE: Final = (ApiTokenRefused, PermissionMissing, CloudflareRefused)
"""After these the token is read again, and the zones are looked up."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    interval: float = 60.0
    """Between two looks at a zone for which nobody asks anything new."""
    quiet: float = 0.25
    """Without another hint: the burst is over."""
    burst: float = 2.0
    """One that does not end is cut here."""
    pauses: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
    """After so many failures on end; the last one for all that follow."""
    longest: float = 3600.0
    """Between two tries of what Cloudflare refuses."""
    renewal: float = 3600.0
    """Until the token is asked for again."""


Connect = Callable[[Stop], Site]
"""With a token that is read now."""
Tell = Callable[[str, str, Outcome, Mapping[str, str]], None]
"""Event, target, outcome, detail: the ledger."""


@dataclass
class Companion:
    """One feed, one token, its zones."""

    feed: Feed
    connect: Connect
    directory: Path
    """Its own: what waits for a grace, and how it stands."""
    tell: Tell
    pace: Pace = Pace()
    clock: Callable[[], float] = standing.running
    confined: int | None = None
    """Landlock's ABI, 0: the kernel has none; None: nobody promised it, as in a container."""
    begun: datetime = field(default_factory=partial(datetime.now, UTC))
    _site: Site | None = None
    _wish: Desired | None = None
    _ends: dict[str, Applied] = field(default_factory=dict)
    _looked: datetime | None = None
    _asked: float = 0.0
    _failures: int = 0
    _refusals: int = 0
    _calls: int = 0
    _trouble: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """From here on only time that passes counts."""
        self._started = self.clock()

    def run(self, stop: Stop) -> None:
        """Until somebody stops it."""
        try:
            while True:
                self.round(stop)
                self._wait(stop)
        except Stopped:
            return
        finally:
            self.feed.close()
            self._leave()

    def round(self, stop: Stop) -> None:
        """One look, and what follows from it.

        Raises:
            Stopped: The program is to end.
        """
        error: Error | None = None
        try:
            self._follow(stop)
        except Error as found:
            error = found
        if error is not None and not self._failures:
            detail = {"why": error.message}
            self.tell("cloudflare.companion", self.feed.name, Outcome.FAILED, detail)
        if error is None and self._failures:
            self.tell("cloudflare.companion", self.feed.name, Outcome.OK, {"failures": str(self._failures)})
        self._failures = self._failures + 1 if error else 0
        with contextlib.suppress(FileRefused):  # a full disk shows as a state that grows old
            self._write(error)

    def _follow(self, stop: Stop) -> None:
        containers = self.feed.look()
        site = self._connected(stop)
        wish = desired(containers, site.rules)
        if wish == self._wish and self.clock() < self._asked + self._rest():
            return
        self._wish = None  # until every zone has followed
        self._say_once(
            {f"{each.container}: {each.message}": ("cloudflare.label", each.container) for each in wish.mistakes}
        )
        terms = replace(site.terms, held=frozenset(each.source for each in wish.mistakes))
        memory, failed = recall(self.directory), list[Error]()
        for zone in site.zones:
            try:
                self._ends[zone.name] = self._converged(site, zone, wish, terms, memory)
            except Error as error:
                failed.append(error)
        self._asked = self.clock()
        if any(isinstance(error, TOKEN_TROUBLE) for error in failed):
            self._leave()
        if failed:
            raise failed[0]
        refused = any(end.refused for end in self._ends.values())
        self._refusals = self._refusals + 1 if refused else 0
        self._wish, self._looked = wish, self._now()

    def _converged(self, site: Site, zone: Zone, wish: Desired, terms: Terms, memory: Memory) -> Applied:
        mine = [each for each in wish.wanted if each.zone == same(zone.name)]

        def planned(records: Sequence[Record]) -> Plan:
            return plan(records, mine, terms, self._now(), memory.of(zone.id))

        end = converge(site.client, zone, terms.owner, planned)
        remember(self.directory, memory, zone.id, end.plan.absent)
        if end.done:
            self.tell("cloudflare.apply", zone.name, Outcome.OK, end.detail)
        conflicts = {f"{each.name}: {each.reason}": ("cloudflare.conflict", each.name) for each in end.plan.conflicts}
        refused = {
            f"{each.change.name}: {each.error.message}": ("cloudflare.apply", each.change.name) for each in end.refused
        }
        self._say_once({**conflicts, **refused}, zone.name)
        return end

    def _connected(self, stop: Stop) -> Site:
        old = self._site
        if old is not None and self.clock() < old.since + self.pace.renewal:
            return old
        try:
            self._site = self.connect(stop)
        except TOKEN_TROUBLE:  # also a zone that was moved away: nothing more is written to it
            self._leave()
            raise
        except Error:
            if old is None:
                raise
            self._site = replace(old, since=self.clock())  # what we have still works, or says so itself
            return self._site
        if old is not None:
            self._calls += old.client.calls
            old.client.close()
        return self._site

    def _leave(self) -> None:
        if self._site is not None:
            self._calls += self._site.client.calls
            self._site.client.close()
            self._site = None

    def _wait(self, stop: Stop) -> None:
        if self._failures:
            # Also not for a hint: it would ask again what was just refused.
            stop.sleep(self.pace.pauses[min(self._failures, len(self.pace.pauses)) - 1])
            return
        left = self._asked + self._rest() - self.clock()
        if self.feed.hinted(max(0.05, min(self.pace.interval, left)), stop):
            until = self.clock() + self.pace.burst
            while self.clock() < until and self.feed.hinted(self.pace.quiet, stop):
                pass

    def _rest(self) -> float:
        """Seconds from one look at the zones to the next, when nobody asks for anything new."""
        waiting = [each.until for end in self._ends.values() for each in end.plan.waiting]
        pause = min(self.pace.interval * 2.0**self._refusals, self.pace.longest)
        if not waiting or self._looked is None:
            return pause
        return min(pause, max(0.0, (min(waiting) - self._looked).total_seconds()))

    def _now(self) -> datetime:
        return self.begun + timedelta(seconds=self.clock() - self._started)

    def _say_once(self, found: Mapping[str, tuple[str, str]], place: str = "") -> None:
        """What is in the way is written when it is new, not in every round."""
        known = {text for text, where in self._trouble.items() if where == place}
        for text, (event, target) in found.items():
            if text not in known:
                self.tell(event, target, Outcome.REFUSED, {"why": text})
        kept = {text: where for text, where in self._trouble.items() if where != place}
        self._trouble = {**kept, **dict.fromkeys(found, place)}

    def _write(self, error: Error | None) -> None:
        site, wish = self._site, self._wish
        standing.write(
            self.directory,
            standing.Standing(
                feed=self.feed.name,
                written=self.clock(),
                looked=self._looked,
                zones=tuple(zone.name for zone in site.zones) if site else (),
                wanted=len(wish.wanted) if wish else 0,
                waiting=sum(len(end.plan.waiting) for end in self._ends.values()),
                trouble=tuple(sorted(self._trouble)),
                error=error.message if error else "",
                hint=error.hint if error else None,
                confined=self.confined,
                calls=self._calls + (site.client.calls if site else 0),
            ),
        )
