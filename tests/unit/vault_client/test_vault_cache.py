"""The cache's promises, with a clock of the test's own and a source that can be made to fail."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from nasos.errors import (
    CredentialRejected,
    PermissionDenied,
    RateLimited,
    SecretDeleted,
    SecretNotFound,
    VaultError,
    VaultRefused,
    VaultSealed,
    VaultStandby,
    VaultUnreachable,
)
from nasos.secret import Secret
from nasos.vault.cache import FRESH_FOR, MAX_STALE, PAUSE, REMIND, ReadCache
from nasos.vault.store import Record

AWAY = [VaultUnreachable("away"), VaultSealed("away"), VaultStandby("away"), RateLimited("away")]
SAID_NO = [
    PermissionDenied("no"),
    SecretNotFound("no"),
    SecretDeleted("no"),
    CredentialRejected("no"),
    VaultRefused("no"),
]


class Source:
    """A store of one record that can be away; notes how it was asked."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.version = 1
        self.error: VaultError | None = None
        self.asked: list[bool] = []
        self.told: list[tuple[str, float]] = []
        self.cache = ReadCache(self.fetch, self.stale, clock=lambda: self.now)

    def fetch(self, name: str, patient: bool) -> Record:  # noqa: FBT001  the cache's callback
        """Answer or fail."""
        self.asked.append(patient)
        if self.error:
            raise self.error
        return Record(name, {"value": Secret(str(self.version))}, self.version, datetime.now(UTC), {})

    def stale(self, name: str, age: float, _error: VaultError) -> None:
        """Note what was said aloud."""
        self.told.append((name, age))

    def version_read(self) -> int:
        """What a reader gets."""
        return self.cache.get("key").version


@pytest.fixture
def source() -> Source:
    """A fresh one."""
    return Source()


def test_a_value_is_asked_for_once_while_fresh(source: Source) -> None:
    """Within FRESH_FOR the old version is served without a question, after it the new one."""
    assert source.version_read() == 1
    source.version = 2
    source.now += FRESH_FOR - 0.01
    assert (source.version_read(), len(source.asked)) == (1, 1)
    source.now += 0.02
    assert (source.version_read(), len(source.asked)) == (2, 2)


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_away_means_the_last_value_until_max_stale(source: Source, error: VaultError) -> None:
    """Served up to max_stale after it was read, said once, impatiently; a second later than that it is an error."""
    source.version_read()
    source.error = error
    source.now += FRESH_FOR + 1
    assert source.version_read() == 1
    assert source.told == [("key", FRESH_FOR + 1)]
    assert source.asked == [True, False]
    source.now = 1000 + MAX_STALE
    assert source.version_read() == 1
    source.now += PAUSE + 0.01
    with pytest.raises(type(error)):
        source.version_read()


@pytest.mark.parametrize("error", SAID_NO, ids=lambda error: type(error).__name__)
def test_a_no_is_never_answered_from_the_past(source: Source, error: VaultError) -> None:
    """Vault answered: the error is raised, and the old value is forgotten even if Vault then goes away."""
    source.version_read()
    source.now += FRESH_FOR + 1
    source.error = error
    with pytest.raises(type(error)):
        source.version_read()
    source.error = AWAY[0]
    with pytest.raises(VaultUnreachable):
        source.version_read()
    assert source.told == []


def test_during_an_outage_vault_is_asked_at_most_once_a_pause(source: Source) -> None:
    """Readers with an old value do not queue up behind timeouts."""
    source.version_read()
    source.error = AWAY[0]
    source.now += FRESH_FOR + 1
    for _ in range(100):
        source.version_read()
    assert len(source.asked) == 2
    source.now += PAUSE + 0.01
    source.version_read()
    assert len(source.asked) == 3


def test_a_long_outage_is_said_again_and_its_end_too(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    """One warning at the start, one a minute, one when Vault answers again; never a value."""
    source.version_read()
    source.error = AWAY[0]
    source.now += FRESH_FOR
    while source.now < 1000 + FRESH_FOR + REMIND + 1:
        source.version_read()
        source.now += PAUSE
    assert len(source.told) == 2
    source.error = None
    source.version_read()
    assert "answers again" in caplog.messages[-1]
    assert len(caplog.messages) == 3


def test_nothing_known_means_a_patient_question_and_an_error(source: Source) -> None:
    """Without an old value the whole retry policy applies, and the outage is told."""
    source.error = AWAY[0]
    with pytest.raises(VaultUnreachable):
        source.version_read()
    assert source.asked == [True]


@pytest.mark.parametrize("error", [None, SecretNotFound("no")])
def test_many_readers_share_one_question_and_its_answer(source: Source, error: VaultError | None) -> None:
    """Twenty threads that come while one read is under way get that read's record, or its error."""
    source.error = error
    arrived, released = threading.Event(), threading.Event()

    def slow(name: str, patient: bool) -> Record:  # noqa: FBT001  the cache's callback
        arrived.set()
        released.wait(10)
        return source.fetch(name, patient)

    source.cache._fetch = slow
    outcomes: list[object] = []

    def read() -> None:
        try:
            outcomes.append(source.version_read())
        except SecretNotFound as caught:
            outcomes.append(caught)

    threads = [threading.Thread(target=read) for _ in range(20)]
    threads[0].start()
    assert arrived.wait(10)
    for thread in threads[1:]:
        thread.start()
    released.set()
    for thread in threads:
        thread.join(10)
    assert outcomes == [error or 1] * 20
    # A thread that came only after the landing finds the record; after an error it has to ask for itself.
    assert len(source.asked) == 1 or error


def test_a_read_that_was_under_way_when_we_wrote_is_not_remembered(source: Source) -> None:
    """The old value read before our write, landing after it, must not come back."""
    source.cache.get("key")
    source.now += FRESH_FOR + 1
    plain = source.fetch

    def overtaken(name: str, patient: bool) -> Record:  # noqa: FBT001  the cache's callback
        record = plain(name, patient)
        source.version = 2
        source.cache.drop(name)
        return record

    source.cache._fetch = overtaken
    assert source.version_read() == 1
    source.cache._fetch = plain
    assert source.version_read() == 2


def test_a_doubtful_write_asks_again_but_keeps_the_value_for_an_outage(source: Source) -> None:
    """After a write whose outcome is unknown, Vault is asked; if it is away, the last value still serves."""
    source.version_read()
    source.cache.doubt("key")
    source.version_read()
    assert len(source.asked) == 2
    source.cache.doubt("key")
    source.error = AWAY[0]
    assert source.version_read() == 1
    assert len(source.told) == 1


def test_an_interrupted_leader_does_not_strand_the_others(source: Source) -> None:
    """Ctrl-C in the thread that asks leaves no flight behind."""

    def interrupted(_name: str, _patient: bool) -> Record:  # noqa: FBT001  the cache's callback
        raise KeyboardInterrupt

    plain = source.cache._fetch
    source.cache._fetch = interrupted
    with pytest.raises(KeyboardInterrupt):
        source.version_read()
    source.cache._fetch = plain
    assert source.version_read() == 1
