"""The exchange's key as something that rotates: proofs, the bot's word, old keys, reminders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nasos.bot.api import BotApi
from nasos.errors import BotError, CandidateRejected, ExchangeUnreachable, NotAsked, UsageError
from nasos.exchange.key import Answer, ApiKey, Facts, Refused, Right, Why
from nasos.ledger import Ledger, Outcome
from nasos.rotation.rotator import Sight
from nasos.secret import Secret
from nasos.stack.embedded import Stack
from nasos.stack.rotation import exchange
from nasos.stack.rotation.exchange import ExchangeKey, KeyUser
from nasos.stack.rotation.key_watch import Known, learn, names, recall, remind, watched
from nasos.stack.rotation.old_keys import Fate, bury, old_keys
from nasos.vault import VaultClient
from nasos.vault.memory import MemoryStore

NAME = "bots/nasos/exchange"
PATH = f"nasos/{NAME}"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
TRADES = Facts(rights=frozenset({Right.READ, Right.TRADE}), bound=True, account="1")
Fields = Mapping[str, Secret]


def fields(key: str) -> dict[str, Secret]:
    """A record with this key."""
    return {"api_key": Secret(key), "secret": Secret(f"secret of {key}")}


def says(answer: Answer | Exception) -> ExchangeKey:
    """A rotator whose exchange says this of every key."""

    def ask(_key: ApiKey) -> Answer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ExchangeKey(ask)


def test_a_key_is_made_by_a_person() -> None:
    """There is nothing that could make one, and the hint says what to type."""
    with pytest.raises(UsageError, match="by a person") as error:
        says(TRADES).create(fields("aaaa"))
    assert error.value.hint == "nasos rotate api"


def test_a_key_that_trades_is_proven() -> None:
    """By its last characters, never whole."""
    assert says(TRADES).test(fields("abcdefgh")) == "the exchange accepts the key …efgh"


@pytest.mark.parametrize("answer", [Refused(Why.UNKNOWN, "10003"), Facts(rights=frozenset({Right.READ}), bound=True)])
def test_a_refused_key_and_one_that_only_reads_are_rejected(answer: Answer) -> None:
    """There is no other candidate, so that the rotation ends there."""
    with pytest.raises(CandidateRejected):
        says(answer).test(fields("aaaa"))


def test_an_exchange_that_does_not_answer_leaves_the_rotation_open() -> None:
    """Neither proven nor rejected; one that cannot be asked at all is said to be not tried."""
    with pytest.raises(ExchangeUnreachable):
        says(ExchangeUnreachable("no answer")).test(fields("aaaa"))
    assert "was not tried" in says(NotAsked("cannot be asked")).test(fields("aaaa"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (TRADES, "still alive"),
        (Refused(Why.UNKNOWN, "10003"), "refuses the key of before"),
        (ExchangeUnreachable("no answer"), "was not tried: no answer"),
    ],
)
def test_the_end_of_the_old_key_is_told_as_it_is(answer: Answer | Exception, words: str) -> None:
    """A living old key is no failure of the rotation; it is never called dead without the exchange's word."""
    assert words in says(answer).revoke(fields("aaaa"), fields("bbbb"), lambda: None)


@pytest.fixture
def store() -> MemoryStore:
    """Three keys, one after the other; the second twice."""
    found = MemoryStore()
    for key in ("first-key", "second-key", "second-key", "third-key"):
        found.write(PATH, fields(key))
    return found


def test_an_earlier_version_with_another_key_is_one_that_nobody_proved_dead(store: MemoryStore) -> None:
    """Each key once, with all its versions; what is current is none of them."""
    assert [(old.key.ending, old.versions) for old in old_keys(store, NAME)] == [("…-key", (3, 2)), ("…-key", (1,))]
    store.write(PATH, fields("second-key"))
    assert [old.versions for old in old_keys(store, NAME)] == [(4,), (1,)]


CASES: dict[str, tuple[Answer | Exception, bool, Fate]] = {
    "unknown": (Refused(Why.UNKNOWN, "10003"), False, Fate.DEAD),
    "expired": (Refused(Why.EXPIRED, "33004"), False, Fate.DEAD),
    "untold": (Refused(Why.UNTOLD, "-2015"), False, Fate.UNTOLD),
    "untold, said deleted": (Refused(Why.UNTOLD, "-2015"), True, Fate.DEAD),
    "another address": (Refused(Why.ADDRESS, "10010"), True, Fate.UNTOLD),
    "wrong secret": (Refused(Why.SECRET, "-1022"), True, Fate.UNTOLD),
    "alive": (TRADES, True, Fate.ALIVE),
    "away": (ExchangeUnreachable("no answer"), True, Fate.UNTOLD),
}


@pytest.mark.parametrize("case", CASES)
def test_only_a_key_that_the_exchange_does_not_know_is_dead(store: MemoryStore, case: str) -> None:
    """Then its versions cannot be read any more; in every other case they stay, and so does the reminder."""
    answer, said_deleted, fate = CASES[case]
    [old, _] = old_keys(store, NAME)
    assert bury(store, NAME, old, says(answer).ask, said_deleted=said_deleted).fate is fate
    assert len(old_keys(store, NAME)) == (1 if fate is Fate.DEAD else 2)
    gone = [version.number for version in store.history(PATH) if version.deleted]
    assert gone == ([2, 3] if fate is Fate.DEAD else [])


def test_facts_belong_to_one_version(store: MemoryStore) -> None:
    """What was told of a key is forgotten with the next one, its age and its end too."""
    ends = NOW + timedelta(days=20)
    told = Facts(rights=TRADES.rights, bound=True, created=NOW - timedelta(days=60), expires=ends)
    learn(store, NAME, Known.of(4, "bybit", told, NOW))
    key = watched(store, NAME, 90)
    assert key is not None
    assert (key.due.at, key.due.reason, key.since) == (ends, "expiry", told.created)
    store.write(PATH, fields("fourth-key"))
    key = watched(store, NAME, 90)
    assert key is not None
    assert (key.due.reason, key.known.rights) == ("age", ())
    assert names(store) == [NAME]


def test_a_reminder_is_given_once_per_step_on_any_machine(store: MemoryStore) -> None:
    """As the end nears, then daily, with a failure once it is over; a new date begins anew."""
    told: list[tuple[str, Outcome, str]] = []

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        assert (event, target) == ("rotation.reminder", NAME)
        told.append((event, outcome, detail["days left"]))

    ends = NOW + timedelta(days=8)
    learn(store, NAME, Known.of(4, "bybit", Facts(rights=TRADES.rights, bound=True, expires=ends), NOW))
    for hour in range(0, 10 * 24, 6):
        key = watched(store, NAME, 3650)
        assert key is not None
        remind(store, key, tell, NOW + timedelta(hours=hour))
    assert [(outcome, left) for _, outcome, left in told] == [
        *[(Outcome.OK, left) for left in ("8", "7", "3", "1", "0")],
        (Outcome.FAILED, "-1"),
    ]
    learn(store, NAME, Known.of(4, "bybit", Facts(rights=TRADES.rights, bound=True, expires=ends), NOW))
    assert recall(store, NAME).told is not None
    key = watched(store, NAME, 3650)
    assert key is not None
    assert not remind(store, key, tell, NOW + timedelta(days=9, hours=1))


def test_what_is_no_record_of_ours_is_nothing_known(store: MemoryStore) -> None:
    """Somebody else's text there is no reason to stop."""
    store.write("nasos/_rotation/_keys-nasos", {"state": Secret("not json")})
    assert recall(store, NAME) == Known()


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[KeyUser, Ledger]:
    """The bot as the rotation sees it, and the ledger in which its launcher tells; the bot itself always answers."""
    (tmp_path / "ledger").mkdir()
    ledger = Ledger(tmp_path / "ledger" / "events.jsonl", "bot-nasos")
    home = SimpleNamespace(ledger=ledger.path, run=lambda name: tmp_path / "run" / name)
    settings = SimpleNamespace(bot=SimpleNamespace(name="nasos"))
    stack = SimpleNamespace(home=home, settings=settings, ports=SimpleNamespace(bot=1), ca_file=tmp_path)
    vault = SimpleNamespace(
        metadata=lambda _name: SimpleNamespace(current=7), read=lambda _name: SimpleNamespace(fields={})
    )
    monkeypatch.setattr(exchange, "running", lambda _stack: True)
    monkeypatch.setattr(BotApi, "asks_exchange", lambda _self, _login: True)
    return KeyUser(cast("Stack", stack), cast("VaultClient", vault)), ledger


def tell(ledger: Ledger, outcome: Outcome = Outcome.OK, version: str = "7", **more: str) -> None:
    """The launcher's event about a version."""
    ledger.append("bot.secret", NAME, outcome, {"version": version, "applied": "so", **more})


def test_the_bot_is_seen_by_its_launchers_word_on_this_very_version(user: tuple[KeyUser, Ledger]) -> None:
    """Another version, another record and silence are no sight of it."""
    consumer, ledger = user
    tell(ledger, version="6")
    ledger.append("bot.secret", "bots/nasos/telegram", Outcome.OK, {"version": "7"})
    consumer.deliver(urgent=False)
    assert consumer.look({}) is Sight.WAITING
    tell(ledger)
    assert consumer.look({}) is Sight.CONFIRMED


def test_a_word_from_before_the_look_counts_and_so_does_a_start_with_it(user: tuple[KeyUser, Ledger]) -> None:
    """The launcher may be faster than we are, and a restarted rotator comes late."""
    consumer, ledger = user
    ledger.append("bot.start", "nasos", Outcome.OK, {"command": "trade", "api": "1", "exchange": "7"})
    consumer.deliver(urgent=False)
    assert consumer.look({}) is Sight.CONFIRMED


def test_a_bot_that_fails_with_the_key_is_broken_and_one_that_tries_again_is_waited_for(
    user: tuple[KeyUser, Ledger],
) -> None:
    """The launcher says which of both it is."""
    consumer, ledger = user
    consumer.deliver(urgent=False)
    tell(ledger, Outcome.FAILED, again="30 s")
    assert consumer.look({}) is Sight.WAITING
    tell(ledger, Outcome.FAILED)
    assert consumer.look({}) is Sight.BROKEN


def test_a_bot_that_does_not_know_its_balance_is_waited_for(
    user: tuple[KeyUser, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, or one without a balance, is no proof; a bot that does not run reads the key when it starts."""
    consumer, ledger = user
    consumer.deliver(urgent=False)
    tell(ledger)
    monkeypatch.setattr(BotApi, "asks_exchange", lambda _self, _login: False)
    assert consumer.look({}) is Sight.WAITING

    def silent(_self: Any, _login: Any) -> bool:
        raise BotError("no answer")

    monkeypatch.setattr(BotApi, "asks_exchange", silent)
    assert consumer.look({}) is Sight.WAITING
    monkeypatch.setattr(exchange, "running", lambda _stack: False)
    assert consumer.look({}) is Sight.ABSENT
