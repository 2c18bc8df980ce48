"""One round: look at the ledgers, decide what is worth an alert, say what is to be said, remember the ledgers' ends.

Rules: no IO of its own but through what it is given; ``now`` is an argument. What is to be said is stored before it is
sent. A channel that fails is tried again, ever more seldom, for a day, while the others go on; its failure and its
recovery are recorded once each. Nobody to tell is no reason to keep anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from nasos.errors import Error
from nasos.ledger import DAMAGED, Head, Outcome
from nasos.ledger.follow import Follower
from nasos.notify import Channel, Delivery, Notice, digest, worth
from nasos.stack.watcher.state import Pending, State

FIRST_RETRY: Final = 10.0
LAST_RETRY: Final = 600.0
GIVE_UP: Final = 86_400.0
ASK_AGAIN: Final = 60.0
"""Seconds: for changed channels while something is to be said, and between two memories of the ledgers' ends."""
ASK_SOON: Final = 5.0
"""Seconds: while something is to be said and no channel is known."""

Record = Callable[[str, str, Outcome, Mapping[str, str]], object]
Send = Callable[[Sequence[Channel], Notice], Sequence[Delivery]]


class Memory(Protocol):
    """What Vault is to the watcher."""

    def channels(self) -> list[Channel]:
        """Where alerts go."""

    def anchor(self, places: dict[str, Head], anchored: dict[str, Head]) -> dict[str, Head]:
        """Make Vault remember ``places``; return what it remembers now."""


@dataclass(slots=True)
class Watch:
    """The watcher's hands and memory."""

    followers: dict[str, Follower]
    memory: Memory
    send: Send
    record: Record
    store: Callable[[State], None]
    say: Callable[[str], None]
    state: State
    _channels: list[Channel] = field(default_factory=list)
    _asked: float = float("-inf")
    _anchored: float = float("-inf")

    def round(self, now: float) -> None:
        """Do all that is to be done at this moment."""
        self._believe(now)
        changed = self._look(now)
        if changed:
            self._store()
        if self._ask(now) | self._deliver(now):
            self._store()
        self._anchor(now)

    def _believe(self, now: float) -> None:
        """What is dated after now was dated by a clock that was ahead when we ran last: it waits for no such day."""
        for pending in self.state.pending:
            pending.since = min(pending.since, now)
            pending.not_before = min(pending.not_before, now + LAST_RETRY)

    def _store(self) -> None:
        """On a full disk an alert is sent all the same, and in the worst case again: it may be about that disk."""
        try:
            self.store(self.state)
        except Error as error:
            self.say(f"what is to be told cannot be stored: {error.message}")

    def _look(self, now: float) -> bool:
        notices: list[Notice] = []
        for name, follower in self.followers.items():
            try:
                news = follower.news()
            except (Error, OSError) as error:
                self.say(f"the ledger {name} cannot be followed: {error}")
                continue
            if news.broken:
                self.record(DAMAGED, str(follower.path), Outcome.FAILED, {"why": news.broken})
            notices += filter(None, map(worth, news.events))
        offered = [notice for notice in notices if self.state.repeats.offer(notice, now)]
        offered += self.state.repeats.ended(now)
        self.state.pending += [Pending(notice, now) for notice in offered]
        places = {name: follower.place for name, follower in self.followers.items()}
        moved, self.state.places = places != self.state.places, places
        return moved or bool(offered)

    def _ask(self, now: float) -> bool:
        """Ask for the channels when something is to be said, or nobody has ever answered."""
        wanted = bool(self.state.pending) or self._asked == float("-inf") or self.state.channels is None
        if not wanted or 0 <= now - self._asked < (ASK_AGAIN if self._channels else ASK_SOON):
            return False
        self._asked = now
        try:
            self._channels = self.memory.channels()
        except Error as error:
            self.say(f"the channels cannot be read: {error.message}")
            return False
        before, self.state.channels = self.state.channels, len(self._channels)
        return before != self.state.channels

    def _deliver(self, now: float) -> bool:
        if not self._channels:
            unheard = [pending for pending in self.state.pending if pending.since <= self._asked]
            if self.state.channels != 0 or not unheard:
                return False
            for pending in unheard:
                self.state.pending.remove(pending)
                self.state.repeats.forget(pending.notice)
            return True
        due = [pending for pending in self.state.pending if pending.not_before <= now]
        groups: dict[tuple[str, ...], list[Pending]] = {}
        for pending in due:
            groups.setdefault(tuple(channel.name for channel in self._to(pending)), []).append(pending)
        for group in groups.values():
            self._say_all(group, now)
        return bool(due)

    def _to(self, pending: Pending) -> list[Channel]:
        return [channel for channel in self._channels if pending.channels is None or channel.name in pending.channels]

    def _say_all(self, group: list[Pending], now: float) -> None:
        notice = digest([pending.notice for pending in group])
        answers = self.send(self._to(group[0]), notice)
        failed = [answer.channel for answer in answers if not answer.delivered]
        for answer in answers:
            self._tell(answer, len(group))
        for pending in group:
            if failed and now - pending.since < GIVE_UP:
                pending.channels, pending.tries = failed, pending.tries + 1
                pending.not_before = now + min(FIRST_RETRY * 2 ** (pending.tries - 1), LAST_RETRY)
                continue
            self.state.pending.remove(pending)
            if failed:
                detail = {"alert": pending.notice.title, "why": "given up after a day"}
                self.record("alert.send", " ".join(failed), Outcome.FAILED, detail)

    def _tell(self, answer: Delivery, alerts: int) -> None:
        known = self.state.failing.pop(answer.channel, None)
        if answer.delivered:
            self.record("alert.send", answer.channel, Outcome.OK, {"alerts": str(alerts)})
            return
        self.state.failing[answer.channel] = answer.reason
        if known is None:
            self.record("alert.send", answer.channel, Outcome.FAILED, {"why": answer.reason})

    def _anchor(self, now: float) -> None:
        places = {name: follower.place for name, follower in self.followers.items() if follower.place.seq}
        if places == self.state.anchored or 0 <= now - self._anchored < ASK_AGAIN:
            return
        self._anchored = now
        try:
            self.state.anchored = self.memory.anchor(places, self.state.anchored)
        except Error as error:
            self.say(f"the ledgers' ends cannot be remembered in Vault: {error.message}")
            return
        self._store()
