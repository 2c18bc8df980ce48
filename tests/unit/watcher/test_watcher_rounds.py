from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nasos.errors import FileRefused, ProgramFailed, VaultUnreachable
from nasos.ledger import Head, Ledger, Outcome, read
from nasos.ledger.follow import Follower
from nasos.notify import WINDOW, Channel, Delivery, Notice
from nasos.secret import Secret
from nasos.stack.watcher import state
from nasos.stack.watcher.report import proven
from nasos.stack.watcher.rounds import ASK_SOON, FIRST_RETRY, GIVE_UP, LAST_RETRY, Watch


@dataclass
class World:
    """A ledger, a Vault and receivers, and the watcher's state on a real disk."""

    directory: Path
    names: list[str] = field(default_factory=lambda: ["phone"])
    vault_away: bool = False
    down: set[str] = field(default_factory=set)
    arrived: list[tuple[str, Notice]] = field(default_factory=list)
    remembered: dict[str, Head] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    now: float = 1_000_000.0

    @property
    def ledger(self) -> Ledger:
        """The operator's."""
        return Ledger(self.directory / "events.jsonl", "tester")

    def channels(self) -> list[Channel]:
        """Vault's answer."""
        if self.vault_away:
            raise VaultUnreachable("vault is away")
        return [Channel(name, Secret(f"json://{name}")) for name in self.names]

    def anchor(self, places: dict[str, Head], anchored: dict[str, Head]) -> dict[str, Head]:
        """Vault's memory."""
        if self.vault_away:
            raise VaultUnreachable("vault is away")
        self.remembered = dict(places)
        return self.remembered

    def send(self, channels: Sequence[Channel], notice: Notice) -> list[Delivery]:
        """The receivers."""
        self.arrived += [(channel.name, notice) for channel in channels if channel.name not in self.down]
        return [Delivery(each.name, each.name not in self.down, "down" * (each.name in self.down)) for each in channels]

    def record(self, event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> object:
        """Into the ledger, as the watcher does."""
        return self.ledger.append(event, target, outcome, detail)

    def watch(self) -> Watch:
        """A watcher that was just started."""
        known = state.load(self.directory)
        follower = Follower(self.directory / "events.jsonl", known.places.get("operator"))
        return Watch(
            followers={"operator": follower}, memory=self, send=self.send, record=self.record,
            store=lambda changed: state.save(self.directory, changed), say=self.said.append, state=known,
        )  # fmt: skip

    def rounds(self, watch: Watch, seconds: float = 0.0) -> None:
        """One round now, and one each second for a while."""
        watch.round(self.now)
        for _ in range(int(seconds)):
            self.now += 1
            watch.round(self.now)

    def events(self, name: str) -> list[tuple[str, Outcome]]:
        """Target and outcome of the events of this name."""
        found = read(self.directory / "events.jsonl")
        return [(event.target, event.outcome) for event in found if event.event == name]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty one with one channel."""
    return World(tmp_path)


def failing(world: World, target: str = "nasos") -> None:
    """Something goes wrong."""
    world.ledger.append("bot.refresh", target, Outcome.FAILED, {"reason": "vault is sealed"})


def titles(world: World, name: str = "phone") -> list[str]:
    """What arrived there."""
    return [notice.title for channel, notice in world.arrived if channel == name]


def test_what_fails_is_told_once_and_what_goes_well_is_not(world: World) -> None:
    """One alert for one failure, however many rounds; the delivery is recorded, and is no news itself."""
    watch = world.watch()
    world.rounds(watch)
    world.ledger.append("bot.start", "nasos")
    failing(world)
    world.rounds(watch, 30)
    assert titles(world) == ["nasos: bot.refresh failed (nasos)"]
    assert world.events("alert.send") == [("phone", Outcome.OK)]
    assert watch.state.pending == []


def test_what_happened_before_the_first_start_is_no_news(world: World) -> None:
    """An old ledger does not ring."""
    failing(world)
    world.rounds(world.watch(), 10)
    assert world.arrived == []


def test_an_alert_survives_a_kill_at_any_moment(world: World) -> None:
    """Stored before it is sent: killed before, during or after the delivery it arrives, at worst twice."""
    world.rounds(world.watch())
    failing(world)
    killed = world.watch()

    def die(*_: object) -> list[Delivery]:
        raise KeyboardInterrupt

    killed.send = die
    with pytest.raises(KeyboardInterrupt):
        killed.round(world.now)
    world.rounds(world.watch(), 5)
    assert titles(world) == ["nasos: bot.refresh failed (nasos)"]
    world.rounds(world.watch(), 5)
    assert len(world.arrived) == 1, "what was delivered does not come again with the next start"


def test_what_happens_while_the_watcher_is_down_is_told_when_it_is_back(world: World) -> None:
    """The place in the ledger is kept."""
    world.rounds(world.watch())
    failing(world)
    world.rounds(world.watch(), 2)
    assert len(titles(world)) == 1


def test_a_receiver_that_is_down_is_tried_ever_more_seldom_while_the_others_go_on(world: World) -> None:
    """The good channel gets it once; the bad one when it is back; its failure and recovery are recorded once each."""
    world.names, world.down = ["phone", "mail"], {"mail"}
    watch = world.watch()
    world.rounds(watch)
    failing(world)
    world.rounds(watch, 200)
    assert len(titles(world)) == 1
    assert world.events("alert.send") == [("phone", Outcome.OK), ("mail", Outcome.FAILED)]
    tries = watch.state.pending[0].tries
    assert FIRST_RETRY * (2**tries - 1) > 200 - FIRST_RETRY, "it backs off"
    world.down.clear()
    world.rounds(watch, LAST_RETRY)
    assert (len(titles(world)), len(titles(world, "mail"))) == (1, 1)
    assert world.events("alert.send")[2:] == [("mail", Outcome.OK)]
    assert watch.state.pending == []


def test_after_a_day_it_is_given_up_and_said(world: World) -> None:
    """Nothing is kept for ever, nothing is dropped in silence."""
    world.down = {"phone"}
    watch = world.watch()
    world.rounds(watch)
    failing(world)
    world.rounds(watch)
    while watch.state.pending:
        world.now += LAST_RETRY
        watch.round(world.now)
        assert world.now < 1_000_000 + GIVE_UP + 2 * LAST_RETRY + WINDOW
    assert world.events("alert.send")[-1] == ("phone", Outcome.FAILED)


def test_with_vault_away_it_waits_and_with_known_channels_it_does_not(world: World) -> None:
    """An alert that Vault is away is sent all the same: where it goes was known before."""
    world.vault_away = True
    watch = world.watch()
    world.rounds(watch)
    failing(world)
    world.rounds(watch, 60)
    assert (world.arrived, len(watch.state.pending)) == ([], 1)
    world.vault_away = False
    world.rounds(watch, ASK_SOON + 1)
    assert len(world.arrived) == 1
    world.vault_away = True
    failing(world, "other")
    world.rounds(watch, 5)
    assert len(world.arrived) == 2


def test_nobody_to_tell_keeps_nothing_and_holds_nothing_back(world: World) -> None:
    """A channel that is added later gets the next alert, not those of before; the next is not taken for a repeat."""
    world.names = []
    watch = world.watch()
    world.rounds(watch)
    failing(world)
    world.rounds(watch, 2 * ASK_SOON)
    assert watch.state.pending == []
    world.names = ["phone"]
    failing(world)
    world.rounds(watch, 2 * ASK_SOON)
    assert titles(world) == ["nasos: bot.refresh failed (nasos)"]


def test_a_storm_is_two_messages(world: World) -> None:
    """Five hundred failures of one kind: the first, and at the end of the window how many more."""
    watch = world.watch()
    world.rounds(watch)
    for _ in range(50):
        for _ in range(10):
            failing(world)
        world.rounds(watch, 1)
    world.rounds(watch, WINDOW)
    assert titles(world) == [
        "nasos: bot.refresh failed (nasos)", "nasos: bot.refresh failed (nasos), 499 more times"
    ]  # fmt: skip


def test_a_ledger_that_was_cut_rings(world: World) -> None:
    """The watcher is the first to know, records it, and tells."""
    for n in range(5):
        world.ledger.append("secret.write", f"app/{n}")
    watch = world.watch()
    world.rounds(watch)
    path = world.directory / "events.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    world.rounds(watch, 3)
    assert any(title.startswith("nasos: ledger.damaged failed") or "alerts" in title for title in titles(world))


def test_the_end_is_remembered_in_vault_once_a_minute_at_most(world: World) -> None:
    """Not with each event, and not at all while nothing happens."""
    watch = world.watch()
    world.ledger.append("stack.up", "x")
    world.rounds(watch)
    first = dict(world.remembered)
    assert first["operator"].seq == 1
    world.ledger.append("stack.up", "y")
    world.rounds(watch, 30)
    assert world.remembered == first
    world.rounds(watch, 40)
    assert world.remembered["operator"].seq == 2


def test_a_full_disk_under_the_watcher_keeps_no_alert_back(world: World) -> None:
    """It may be about that very disk: sent all the same, once as long as the watcher lives."""
    watch = world.watch()
    world.rounds(watch)

    def full(_: object) -> None:
        raise FileRefused("cannot write: no space left on device")

    watch.store = full
    failing(world)
    world.rounds(watch, 5)
    assert len(titles(world)) == 1
    assert any("cannot be stored" in text for text in world.said)


def test_a_state_that_cannot_be_read_is_begun_anew(world: World) -> None:
    """Damaged or foreign content costs what was remembered, not the watcher."""
    for content in (b"", b"{", b"[]", b"\xff"):
        (world.directory / state.NAME).write_bytes(content)
        (world.directory / state.NAME).chmod(0o600)
        assert state.load(world.directory) == state.State()


@pytest.mark.parametrize("ahead", [3600.0, 365 * 86400.0])
def test_an_alert_dated_by_a_clock_that_was_ahead_waits_for_no_such_day(world: World, ahead: float) -> None:
    """It could not be delivered while the clock was ahead; with the right one it arrives within ten minutes."""
    world.now += ahead
    world.rounds(world.watch())
    failing(world)
    world.down = {"phone"}
    world.rounds(world.watch(), 5)
    world.down, world.now = set(), world.now - ahead
    watch = world.watch()
    world.rounds(watch, LAST_RETRY + 1)
    assert len(titles(world)) == 1
    assert watch.state.pending == []


def test_nobody_to_tell_keeps_no_alert_of_a_clock_that_was_ahead(world: World) -> None:
    """It is let go at the first answer, instead of asking Vault every five seconds until its date comes."""
    world.now += 3600
    world.rounds(world.watch())
    failing(world)
    world.vault_away = True
    world.rounds(world.watch(), 2)
    world.vault_away, world.names, world.now = False, [], world.now - 3600
    watch = world.watch()
    world.rounds(watch, ASK_SOON + 1)
    assert watch.state.pending == []


@pytest.mark.parametrize(("dated", "lives"), [(-5.0, True), (-3600.0, False), (3600.0, False)])
def test_a_round_of_another_time_is_no_sign_of_life(world: World, dated: float, *, lives: bool) -> None:
    """Neither one of an hour ago, nor one of an hour ahead: a watcher that died before the clock was set back."""
    state.save(world.directory, state.State(channels=1))
    moment = time.time() + dated
    os.utime(world.directory / state.NAME, (moment, moment))
    if lives:
        assert "alerts go to 1" in proven(world.directory)
        return
    with pytest.raises(ProgramFailed, match=r"its last round was 3\d{3} s ago"):
        proven(world.directory)
