"""The exchange's API key as something that rotates: made by a person, proven and delivered by us.

Rules: nothing here can make a key or end one: the one that could would be a bigger secret than the one it replaces. A
key counts as good when the exchange accepts it and lets it trade; the bot counts as seen when its launcher says that
this very version is in use, the bot answers, and, with real orders, it knows its balance, which it asked its exchange
for with that key. The old key stays alive until its owner deletes it; that is said, and kept in mind (`old_keys.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from nasos.bot.api import BotApi
from nasos.bot.change import AGAIN, PATIENCE_SECONDS
from nasos.bot.poke import poke
from nasos.errors import BotError, CandidateRejected, ExchangeError, LedgerError, NotAsked, UsageError
from nasos.exchange.key import OF_THE_KEY, Answer, ApiKey, Refused, Right, key_of
from nasos.exchange.known import probe
from nasos.ledger import Event, Outcome
from nasos.ledger.event import START
from nasos.ledger.follow import Follower
from nasos.rotation.journal import Fields
from nasos.rotation.rotator import Fence, Part, Sight, Unit
from nasos.rotation.run import POLL
from nasos.stack.embedded import Stack
from nasos.stack.rotation.bot import running
from nasos.stack.rotation.key_watch import watched
from nasos.stack.rotation.place import Place, of
from nasos.vault import VaultClient
from nasos.vault.kv import KvStore

RECORD: Final = "exchange"
OVERLAP: Final = PATIENCE_SECONDS + 180.0
"""Seconds for the bot to be outside of any order, to load its configuration anew, which it does between two rounds, and
to come back."""

Ask = Callable[[ApiKey], Answer]


def name_of(bot: str) -> str:
    """Of the secret, and of the unit."""
    return f"bots/{bot}/{RECORD}"


def asking(stack: Stack) -> Ask:
    """Asks this stack's exchange about a key; where it trades is looked up at the first question."""
    known: list[Place] = []

    def ask(key: ApiKey) -> Answer:
        if not known:
            known.append(of(stack))
        return probe(known[0].exchange, known[0].origin, key, datetime.now(UTC))

    return ask


def unit(stack: Stack, vault: VaultClient) -> Unit:
    """The bot's exchange key."""
    bot = stack.settings.bot.name
    part = Part(name_of(bot), ExchangeKey(asking(stack)), OF_THE_KEY)

    def since() -> datetime | None:
        key = watched(KvStore(vault.session), part.name, stack.settings.rotation.api_key_days)
        return key.since if key else None

    return Unit(name_of(bot), (part,), (KeyUser(stack, vault),), OVERLAP, since)


def settled(unit: Unit, current: Fields) -> dict[str, Sight]:
    """How the bot is seen with a key that has none before it to go back to, once it is not waited for any more."""
    deadline = time.monotonic() + unit.overlap
    for consumer in unit.consumers:
        consumer.deliver(urgent=False)
    while True:
        sights = {consumer.name: consumer.look({unit.name: current}) for consumer in unit.consumers}
        if Sight.WAITING not in sights.values() or time.monotonic() > deadline:
            return sights
        time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """A `Rotator` for what a person makes at the exchange."""

    ask: Ask

    def create(self, current: Fields) -> Fields:
        """See `Rotator.create`."""
        raise UsageError("an exchange's API key is made by a person, at the exchange", "nasos rotate api")

    def revive(self, current: Fields, old: Fields) -> Fields:
        """See `Rotator.revive`."""
        return old

    def set(self, candidate: Fields, fence: Fence) -> None:
        """See `Rotator.set`."""

    def test(self, candidate: Fields) -> str:
        """See `Rotator.test`: a signed request."""
        key = key_of(candidate)
        try:
            answer = self.ask(key)
        except NotAsked as error:
            return f"the key {key.ending} was not tried: {error.message}"
        if isinstance(answer, Refused):
            raise CandidateRejected(f"the exchange refuses the key {key.ending}: {answer}")
        if not answer.rights & {Right.TRADE, Right.FUTURES}:
            raise CandidateRejected(f"the key {key.ending} may not trade")
        return f"the exchange accepts the key {key.ending}"

    def accepts(self, fields: Fields, kept: Fields) -> bool | None:
        """See `Rotator.accepts`: a signed request."""
        try:
            return not isinstance(self.ask(key_of(fields)), Refused)
        except NotAsked:
            return None
        except UsageError:  # no key in it
            return False

    def rehearse(self, current: Fields) -> str:
        """See `Rehearsing.rehearse`: what is stored, because only a person can make another one."""
        return f"{self.test(current)}; a new one is made by a person: nasos rotate api"

    def in_use(self, old: Fields) -> int:
        """See `Rotator.in_use`."""
        return 0

    def revoke(self, old: Fields, kept: Fields, fence: Fence) -> str:
        """See `Rotator.revoke`: whether it is dead already; a living one is its owner's to delete, and no failure."""
        try:
            key = key_of(old)
        except UsageError:
            return "the record of before held no key"
        try:
            answer = self.ask(key)
        except ExchangeError as error:
            return f"the key of before ({key.ending}) was not tried: {error.message}"
        if isinstance(answer, Refused):
            return f"the exchange refuses the key of before ({key.ending}): {answer}"
        return f"the key of before ({key.ending}) is still alive: delete it at the exchange"


@dataclass(slots=True)
class KeyUser:
    """A `Consumer`: the stack's bot, seen by its launcher's word, its answer, and its balance."""

    stack: Stack
    vault: VaultClient
    version: int = 0
    _followed: tuple[Follower, ...] = ()
    _known: dict[int, Outcome] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """See `Consumer.name`."""
        return f"bot {self._bot}"

    @property
    def _bot(self) -> str:
        return self.stack.settings.bot.name

    def deliver(self, *, urgent: bool) -> None:
        """See `Consumer.deliver`."""
        self._follow()
        poke(self.stack.home.run("bot"), self._bot, RECORD, urgent=urgent)

    def _follow(self) -> None:
        self.version = self.vault.metadata(name_of(self._bot)).current
        paths = (self.stack.home.ledger, self.stack.home.run("bot") / "events.jsonl")
        self._followed = tuple(Follower(path, START) for path in paths)

    def look(self, current: Mapping[str, Fields]) -> Sight:
        """See `Consumer.look`."""
        if not running(self.stack):
            return Sight.ABSENT
        if not self._followed:  # nothing was delivered: is the one that is stored in use?
            self._follow()
        outcome = self._said()
        if outcome is Outcome.FAILED:
            return Sight.BROKEN
        if outcome is None:
            return Sight.WAITING
        try:
            login = self.vault.read(f"bots/{self._bot}/api").fields
            answers = BotApi(self.stack.ports.bot, self.stack.ca_file).asks_exchange(login)
        except BotError:  # no answer: it may be loading its configuration
            answers = False
        return Sight.CONFIRMED if answers else Sight.WAITING

    def _said(self) -> Outcome | None:
        """What the launcher says of this version; None while it says nothing."""
        for follower in self._followed:
            try:
                events = follower.news().events
            except (LedgerError, OSError):
                continue
            for event in events:
                said = _version(event, self._bot)
                if said and AGAIN in event.detail:
                    self._known.pop(said, None)
                elif said:
                    self._known[said] = event.outcome
        return self._known.get(self.version)


def _version(event: Event, bot: str) -> int:
    """The version of the record that an event tells of; 0 for none."""
    if event.event == "bot.secret" and event.target == name_of(bot):
        text = event.detail.get("version", "")
    elif event.event == "bot.start" and event.target == bot:
        text = event.detail.get(RECORD, "")
    else:
        return 0
    return int(text) if text.isdigit() else 0
