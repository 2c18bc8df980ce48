from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from nasos.errors import LedgerError
from nasos.ledger import START, Event, Kind, Ledger, read, verify
from nasos.ledger.files import parts, snapshot
from nasos.ledger.follow import Follower

LIMIT = 4000


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger that closes a part every dozen events."""
    return Ledger(tmp_path / "ledger" / "events.jsonl", "tester", limit=LIMIT)


def filled(ledger: Ledger, count: int = 60) -> list[Event]:
    """The ledger with ``count`` events."""
    return [ledger.append("secret.write", f"app/key-{n}") for n in range(1, count + 1)]


def test_the_chain_goes_on_across_parts(ledger: Ledger) -> None:
    """One chain over all files; the newest closed part is plain, the older ones are compressed, all are private."""
    assert filled(ledger) == read(ledger.path)
    closed = parts(ledger.path)
    assert len(closed) >= 3
    assert [part.suffix for part in closed] == [".zst"] * (len(closed) - 1) + [".jsonl"]
    assert {part.stat().st_mode & 0o777 for part in ledger.path.parent.iterdir()} == {0o600}
    assert max(part.stat().st_size for part in ledger.path.parent.iterdir()) < LIMIT + 500


def test_a_part_is_named_after_its_last_event(ledger: Ledger) -> None:
    """A person finds an event's file by its number."""
    filled(ledger)
    first = parts(ledger.path)[0]
    with snapshot(ledger.path) as taken:
        inside = [line for line in taken.lines() if line.path == first]
    assert first.name == f"events-{len(inside):012d}.jsonl.zst"


DAMAGES: dict[str, tuple[Kind, Callable[[list[Path]], object]]] = {
    "a part is gone": (Kind.DELETED, lambda closed: closed[1].unlink()),
    "the first part is gone": (Kind.DELETED, lambda closed: closed[0].unlink()),
    "two parts have each other's name": (
        Kind.REORDERED,
        lambda closed: (closed[0].rename(closed[0].with_suffix(".x")), closed[1].rename(closed[0]),
                        closed[0].with_suffix(".x").rename(closed[1])),
    ),
    "a part is cut": (Kind.UNREADABLE, lambda closed: closed[0].write_bytes(closed[0].read_bytes()[:-40])),
    "a plain part is cut": (
        Kind.DELETED,
        lambda closed: closed[-1].write_bytes(b"".join(closed[-1].read_bytes().splitlines(keepends=True)[:-2])),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_a_closed_part_is_found(ledger: Ledger, damage: str) -> None:
    """Also in the parts that nobody writes any more."""
    filled(ledger)
    kind, change = DAMAGES[damage]
    change(parts(ledger.path))
    assert kind in {found.kind for found in verify(ledger.path).damages}


def test_a_kill_between_closing_and_the_next_event_loses_nothing(ledger: Ledger) -> None:
    """With no growing file the next event continues the newest closed part, and readers miss nothing."""
    events = filled(ledger, 5)
    ledger.path.rename(ledger.path.with_name("events-000000000005.jsonl"))
    assert read(ledger.path) == events
    assert ledger.append("stack.up", "stack").seq == 6
    assert len(read(ledger.path)) == 6


def test_a_part_that_stands_there_plain_and_compressed_counts_once(ledger: Ledger) -> None:
    """What a kill between compressing and removing leaves is read once, and tidied at the next closing."""
    filled(ledger, 40)
    packed = parts(ledger.path)[0]
    with snapshot(ledger.path) as taken:
        content = b"".join(line.raw + b"\n" for line in taken.lines() if line.path == packed)
    packed.with_suffix("").write_bytes(content)
    assert len(read(ledger.path)) == 40
    filled(ledger, 40)
    assert not packed.with_suffix("").exists()
    assert len(read(ledger.path)) == 80


def test_a_growing_file_without_a_whole_event_is_not_closed(ledger: Ledger) -> None:
    """Torn lines alone never make a part."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"x" * (LIMIT + 1))
    assert ledger.append("stack.up", "stack").seq == 1
    assert parts(ledger.path) == []


def test_a_closed_part_is_never_written_over(ledger: Ledger) -> None:
    """After somebody cut the ledger, a second part with the same number stands beside the first."""
    filled(ledger, 30)
    there = parts(ledger.path)[-1]
    content, number = there.read_bytes(), int(there.stem.split("-")[1])
    for path in [*parts(ledger.path)[:-1], ledger.path]:
        path.unlink()
    there.rename(there.with_name("kept"))
    while not parts(ledger.path):
        ledger.append("secret.write", "again")
    (there.with_name("kept")).rename(there)
    (ledger.path.parent / f"events-{number:012d}.jsonl").write_bytes(content)
    filled(ledger, 40)
    assert there.exists() or there.with_name(there.name + ".zst").exists()
    assert len({part.name.partition(".")[0] for part in parts(ledger.path)}) == len(parts(ledger.path))


def _append_many(path: Path, name: str, count: int) -> None:
    for n in range(count):
        Ledger(path, name, limit=LIMIT).append("secret.write", f"{name}/{n}")


def test_processes_that_write_at_once_make_one_chain_over_all_parts(ledger: Ledger) -> None:
    """Four writers across a dozen closings, while a reader verifies all the time: one chain, nothing lost."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(ledger.path, f"w{n}", 50)) for n in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert verify(ledger.path).intact
    events = read(ledger.path)
    assert [event.seq for event in events] == list(range(1, 201))
    for n in range(4):
        assert [e.target for e in events if e.actor == f"w{n}"] == [f"w{n}/{i}" for i in range(50)]
    assert len(parts(ledger.path)) >= 10


def test_killed_writers_lose_no_acknowledged_event_when_parts_are_closed_often(ledger: Ledger) -> None:
    """After kill -9 at any instant of writing, closing and compressing, all that was answered is in one chain."""
    answers, answer = os.pipe()
    acknowledged = b""
    for round_ in range(25):
        pid = os.fork()
        if pid == 0:
            for n in range(100_000):
                ledger.append("secret.write", f"{round_}-{n}")
                os.write(answer, f"{round_}-{n}\n".encode())
        acknowledged += os.read(answers, 1 << 16)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(answer)
    acknowledged += os.read(answers, 1 << 16)
    os.close(answers)
    assert set(acknowledged.decode().split()) <= {event.target for event in read(ledger.path)}


def test_a_part_that_cannot_be_read_is_no_judgement(ledger: Ledger) -> None:
    """A directory in a part's place is an error, neither intact nor damaged."""
    filled(ledger, 3)
    (ledger.path.parent / "events-000000000001.jsonl").mkdir()
    with pytest.raises(LedgerError, match="cannot read"):
        verify(ledger.path)


def test_a_reader_holds_nobody_up(ledger: Ledger) -> None:
    """While somebody reads, events are appended; he sees the ledger as it was when he began."""
    events = filled(ledger, 3)
    with snapshot(ledger.path) as taken:
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            filled(ledger, 40)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(list(taken.lines())) == len(events)
    assert len(read(ledger.path)) == 43


@pytest.mark.parametrize(
    "name", ["events.jsonl", "events.head", "events-000000000001.jsonl", "events-000000000001.jsonl.zst"]
)
def test_a_pipe_or_a_link_in_a_files_place_makes_no_reader_wait(tmp_path: Path, name: str) -> None:
    """The bot's ledger is the bot's own: what it puts there can be refused, but not hold up who reads it."""
    ledger = Ledger(tmp_path / "events.jsonl", "tester")
    ledger.append("stack.up", "x")
    for put in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        (tmp_path / name).unlink(missing_ok=True)
        put(tmp_path / name)
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            with contextlib.suppress(LedgerError, OSError):
                verify(ledger.path)
            with contextlib.suppress(LedgerError, OSError):
                Follower(ledger.path, START).news()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_lock_that_is_never_let_go_makes_no_reader_wait_for_ever(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it: it is said, and the next ledger is looked at."""
    monkeypatch.setattr("nasos.ledger.files.LOCK_SECONDS", 0.2)
    filled(ledger, 2)
    with ledger.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LedgerError, match="holds its lock"):
            verify(ledger.path)
    assert verify(ledger.path).intact
