"""Round after round: disks that become full, clocks that jump, trouble with one log, an event that has to wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.housekeeping import duties, log
from nasos import disk
from nasos.disk import MB
from nasos.errors import LedgerError
from nasos.ledger import Outcome
from nasos.stack.clock import Moment
from nasos.stack.housekeeping import archives, ballast, rotate
from nasos.stack.housekeeping.duties import Duties
from nasos.stack.housekeeping.rounds import Rounds
from nasos.stack.housekeeping.state import State, read, write

START = datetime(2026, 11, 23, tzinfo=UTC)
FIRST = Moment(START.timestamp(), 1000.0, "boot")


@dataclass
class House:
    """Rounds by hand: a clock that the test moves, and a ledger that may refuse."""

    duties: Duties
    now: Moment = FIRST
    events: list[tuple[str, Outcome, dict[str, str]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ledger_full: bool = False
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self.rounds = Rounds(
            self.duties, State(moment=self.now, confined=7), lambda *_: None, self.record, self.said.append
        )

    def record(self, target: str, outcome: Outcome, detail: dict[str, str]) -> None:
        """The ledger."""
        if self.ledger_full:
            raise LedgerError("no room")
        self.events.append((target, outcome, detail))

    def round(self, seconds: float = 5, *, jump: float = 0) -> State:
        """Some time later; the wall clock may jump meanwhile."""
        self.now = Moment(self.now.wall + seconds + jump, self.now.running + seconds, self.now.boot)
        self.rounds.round(self.now)
        return self.rounds.state


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how much the disk has left (real full disks: test_full_disk.py)."""
    real = disk.look

    def set_free(size: int) -> None:
        def look(path: Path) -> disk.Room:
            room = real(path)
            return disk.Room(path=path, device=room.device, total=room.total, free=size, read_only=False)

        monkeypatch.setattr(disk, "look", look)

    return set_free


def test_a_full_disk_costs_the_ballast_and_tells_so_once(tmp_path: Path, free: Callable[[int], None]) -> None:
    """Given up at once, one event; taken again and one more event when there is much room, not before."""
    house = House(duties(tmp_path, ballast=4 * MB))
    held = house.duties.disks[0] / ballast.NAME
    free(100 * MB)
    house.round()
    assert ballast.held(held) >= 4 * MB
    free(MB // 2)
    for _ in range(3):
        house.round()
    assert not held.exists()
    assert [event[1:] for event in house.events] == [
        (Outcome.FAILED, {"disk": "full", "free": str(MB // 2), "ballast given up": str(4 * MB)})
    ]
    free(4 * MB + MB // 2)  # as much as the ballast gave back: it is not taken from where it just went
    house.round()
    assert not held.exists()
    assert len(house.events) == 1
    free(100 * MB)
    house.round()
    assert ballast.held(held) >= 4 * MB
    assert [event[1] for event in house.events] == [Outcome.FAILED, Outcome.OK]
    assert house.rounds.state.full == {}


def test_the_word_follows_when_the_ledger_has_room(tmp_path: Path, free: Callable[[int], None]) -> None:
    """The ballast goes first; the event is kept until it can be written, in order."""
    house = House(duties(tmp_path, ballast=4 * MB), ledger_full=True)
    free(100 * MB)
    house.round()
    free(0)
    house.round()
    free(100 * MB)
    house.round()
    assert house.events == []
    house.ledger_full = False
    house.round()
    assert [event[1] for event in house.events] == [Outcome.FAILED, Outcome.OK]


def test_trouble_with_one_log_keeps_no_other_from_its_turn(tmp_path: Path) -> None:
    """It stands in the state and is said once, until it is gone."""
    bad, good = tmp_path / "bad" / "a.log", tmp_path / "good" / "b.log"
    for path in (bad, good):
        path.parent.mkdir()
        path.with_name(f"{path.name}.1").write_bytes(b"rolled\n")
    bad.with_name("a.log.1").unlink()
    bad.with_name("a.log.1").mkdir()
    house = House(duties(tmp_path, log(bad), log(good)))
    for _ in range(3):
        house.round()
    assert [each.what for each in house.rounds.state.troubles] == [str(bad)]
    assert len([text for text in house.said if str(bad) in text]) == 1
    assert [each.packed for each in rotate.known(house.duties.logs[1])] == [True]
    [left] = bad.parent.iterdir()
    left.rmdir()
    assert house.round().troubles == []


def put_aside(path: Path, days: int) -> None:
    """Archives of one log, one a day, the newest of today."""
    made: list[str] = []
    for day in range(days):
        name = archives.following(archives.of(made, path.name), path.name, START - timedelta(days=days - 1 - day))
        made.append(f"{name}.zst")
        path.with_name(made[-1]).touch()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=400), timedelta(days=-400)])
def test_a_clock_that_jumps_removes_no_log(tmp_path: Path, jump: timedelta) -> None:
    """Put right after some hours, as NTP does: all is there, although the age that is kept had long passed."""
    watched = log(tmp_path / "a.log", days=30)
    put_aside(watched.path, 20)
    house = House(duties(tmp_path, watched))
    for _ in range(30):
        house.round(3600)
    house.round(jump=jump.total_seconds())
    for _ in range(10):
        house.round(3600)
    house.round(jump=-jump.total_seconds())
    house.round()
    assert len(rotate.known(watched)) == 20
    assert any("the clock jumped" in text for text in house.said)


def test_a_jump_is_told_for_a_day(tmp_path: Path) -> None:
    """The newest one, with its size, also when the clock was put right at once; then it is forgotten."""
    house = House(duties(tmp_path))
    assert house.round().jump == 0
    assert house.round(jump=3600).jump == pytest.approx(3600)
    assert house.round(jump=-3600).jump == pytest.approx(-3600)
    assert [house.round(3600).jump for _ in range(24)][-2:] == [pytest.approx(-3600), 0]


def test_what_is_too_old_goes_when_the_clock_was_quiet_for_a_day(tmp_path: Path) -> None:
    """The negative twin: age does count."""
    watched = log(tmp_path / "a.log", days=10)
    put_aside(watched.path, 20)
    house = House(duties(tmp_path, watched))
    house.round()
    assert len(rotate.known(watched)) == 20
    for _ in range(25):
        house.round(3600)
    assert [each.number for each in rotate.known(watched)] == list(range(12, 21))


def test_measuring_goes_on_over_jumps_and_restarts(tmp_path: Path) -> None:
    """Hours are real hours, and the state survives."""
    house = House(duties(tmp_path))
    for _ in range(8):
        house.round(3600, jump=86400 * 30)
    directory = house.duties.disks[0]
    assert write(directory, house.rounds.state)
    again = read(directory)
    assert again
    assert again.hours == pytest.approx(8)
    assert [len(each) for each in again.samples.values()] == [8]


@pytest.mark.parametrize("content", [b"", b"{", b'{"moment": 1}', b"\xff\xfe"])
def test_a_damaged_state_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    """Nothing but history is lost."""
    (tmp_path / "state.json").write_bytes(content)
    assert read(tmp_path) is None
