"""`kill -9` all over the guided replacement of an exchange's key: what a bot would read always trades.

The checker reads what a bot would read and signs a request of its own with it. A key that a person pasted is not made
again: the next rotator, or the same command again, takes it up, or the old one stays as if nothing had been begun.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fixtures.api_key_child import Desk, main
from fixtures.forking import forked
from fixtures.vault import VaultUnderTest
from nasos.errors import SecretNotFound
from nasos.rotation.journal import Journal
from nasos.stack.rotation.old_keys import old_keys
from simulators.exchanges.base import Key
from simulators.exchanges.binance import Binance

ALIVE = 1
"""Exit code: replaced, and the old key is not deleted yet."""
IN_USE = 9
"""Exit code of what was pasted twice."""


@dataclass
class Counter:
    """An account at an exchange, a bot's record in Vault, and the processes that replace it."""

    desk: Desk
    exchange: Binance
    kills: int = field(default=0)

    def run(self, work: str, pasted: Key | None = None, moment: int = 0) -> int:
        """Exit code of one command, or minus the signal that ended it."""
        given = {"api_key": pasted.key, "secret": pasted.secret} if pasted else {}
        child = forked(main, self.desk, work, given, moment)
        child.join(60)
        assert child.exitcode in {0, ALIVE, IN_USE, -signal.SIGKILL}
        self.kills += child.exitcode == -signal.SIGKILL
        return int(child.exitcode or 0)

    def make(self) -> Key:
        """A person makes a key at the exchange."""
        return self.exchange.add(Key(secrets.token_hex(32), secrets.token_hex(32)))

    @property
    def current(self) -> str:
        """The key that a bot would read now, with which it can trade."""
        fields = self.desk.store.read(f"nasos/{self.desk.name}").fields
        assert self.desk.trades_with(fields), "what a bot would read is no key that the exchange accepts"
        return fields["api_key"].reveal()

    def whole(self) -> None:
        """Nothing open, nothing pending."""
        assert Journal(self.desk.store).read(self.desk.name) is None
        with pytest.raises(SecretNotFound):
            self.desk.store.metadata(f"nasos/_rotation/{self.desk.name}")


@pytest.fixture
def counter(vault: VaultUnderTest, tmp_path: Path) -> Iterator[Counter]:
    """A bot with its first key."""
    exchange = Binance()
    with exchange.running():
        desk = Desk(
            address=vault.address,
            vault_ca=vault.ca_file,
            token=vault.root_token.reveal(),
            exchange=exchange.origin,
            ledger=tmp_path / "events.jsonl",
            bot=f"k{secrets.token_hex(4)}",
        )
        yield Counter(desk, exchange)


def first(counter: Counter) -> Key:
    """The bot has a key."""
    key = counter.make()
    assert counter.run("replace", key) == 0
    assert counter.current == key.key
    return key


def replaced_under_kills(counter: Counter, old: Key, moment: int, *, resumes: bool) -> Key:
    """A replacement that is killed at this moment and gone on with; then the old key's burial, killed as well."""
    new = counter.make()
    counter.run("replace", new, moment)
    assert counter.current in {old.key, new.key}, f"killed at moment {moment}"
    if resumes:
        assert counter.run("resume") == 0
        counter.whole()
    if not resumes or counter.current == old.key:
        assert counter.run("replace", new) in {ALIVE, IN_USE}
    counter.whole()
    assert counter.current == new.key
    del counter.exchange.keys[old.key]
    counter.run("prove dead", moment=moment)
    assert counter.current == new.key
    assert counter.run("prove dead") == 0
    assert old_keys(counter.desk.store, counter.desk.name) == []
    return new


def taken_back_under_kills(counter: Counter, old: Key, moment: int) -> None:
    """A replacement by a key with which the bot fails, killed at this moment; the next rotator ends it."""
    new = counter.make()
    counter.desk = replace(counter.desk, unwelcome=new.key)
    counter.run("replace", new, moment)
    assert counter.current in {old.key, new.key}, f"killed at moment {moment}"
    assert counter.run("resume") == 0
    counter.whole()
    assert counter.current == old.key


def until_too_late(counter: Counter, every: int) -> Iterator[int]:
    """Moments so far apart, until one comes when it is all over."""
    for moment in range(1, 1000, every):
        before = counter.kills
        yield moment
        if counter.kills == before:
            return


def killed_and_healed(counter: Counter, every: int) -> int:
    """All over a replacement; by turns the next rotator goes on, or the person pastes the key again."""
    old = first(counter)
    for number, moment in enumerate(until_too_late(counter, every)):
        old = replaced_under_kills(counter, old, moment, resumes=number % 2 == 0)
    return counter.kills


def killed_and_taken_back(counter: Counter, every: int) -> int:
    """All over a replacement that is taken back."""
    old = first(counter)
    for moment in until_too_late(counter, every):
        taken_back_under_kills(counter, old, moment)
    return counter.kills


def test_the_first_key_is_stored_or_it_is_not(counter: Counter) -> None:
    """A kill leaves no record or a whole one; the same command again takes the key."""
    key = counter.make()
    for moment in until_too_late(counter, 2):
        counter.run("replace", key, moment)
        with suppress(SecretNotFound):
            assert counter.current == key.key
            counter.desk.store.forget(f"nasos/{counter.desk.name}")
    assert counter.run("replace", key) == 0
    assert counter.current == key.key


def test_killed_all_over_a_replacement(counter: Counter) -> None:
    """What a bot would read trades at each moment, and the next one comes to the end."""
    assert killed_and_healed(counter, 17) >= 8


def test_killed_all_over_a_replacement_that_is_taken_back(counter: Counter) -> None:
    """The key of before stays, or comes back."""
    assert killed_and_taken_back(counter, 17) >= 8


def test_pasted_again_after_a_kill_it_is_the_same_replacement(counter: Counter) -> None:
    """Killed when the new key was current already: the command goes on, and does not ask for another key."""
    first(counter)
    new, moment = counter.make(), 1
    while counter.run("replace", new, moment) != -signal.SIGKILL or counter.current != new.key:
        moment += 4
    assert Journal(counter.desk.store).read(counter.desk.name) is not None
    assert counter.run("replace", new) == ALIVE
    counter.whole()


@pytest.mark.long
def test_killed_at_every_single_moment(counter: Counter) -> None:
    """Of a replacement, and of the burials."""
    print(f"\n{killed_and_healed(counter, 1)} kills")  # noqa: T201  what a long run is for


@pytest.mark.long
def test_killed_at_every_single_moment_of_what_is_taken_back(counter: Counter) -> None:
    """The same for a replacement that fails."""
    print(f"\n{killed_and_taken_back(counter, 1)} kills")  # noqa: T201  what a long run is for
