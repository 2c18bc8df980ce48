from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest

from nasos.errors import LedgerError
from nasos.ledger import GENESIS, Event, Kind, Ledger, Outcome, read, verify
from nasos.ledger.memory import beside, recall, remember

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path / "ledger" / "events.jsonl", "tester")


def filled(ledger: Ledger, count: int = 5) -> list[Event]:
    """The ledger with ``count`` events."""
    return [ledger.append("secret.write", f"app/key-{n}", detail={"version": str(n)}) for n in range(1, count + 1)]


def test_an_event_says_who_what_when_where_and_how_it_ended(ledger: Ledger) -> None:
    """Every field of the contract is on the line, times in UTC with microseconds."""
    moment = NOON.astimezone(timezone(timedelta(hours=9)))
    event = ledger.append("vault.bootstrap", "vault", Outcome.FAILED, {"step": "init"}, now=moment)
    assert msgspec.json.decode(ledger.path.read_bytes()) == {
        "seq": 1,
        "time": "2026-11-22T12:00:00.000000+00:00",
        "actor": "tester",
        "event": "vault.bootstrap",
        "target": "vault",
        "outcome": "failed",
        "detail": {"step": "init"},
        "host": socket.gethostname(),
        "prev": GENESIS,
    }
    assert read(ledger.path) == [event]


def test_each_line_carries_the_hash_of_the_one_before(ledger: Ledger) -> None:
    """Prev is the SHA-256 of the previous line's bytes."""
    filled(ledger)
    lines = ledger.path.read_bytes().splitlines()
    for before, event in zip(lines, read(ledger.path)[1:], strict=False):
        assert event.prev == hashlib.sha256(before).hexdigest()


def test_the_file_is_private(ledger: Ledger) -> None:
    """Only the operator reads the ledger."""
    filled(ledger, 1)
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    assert ledger.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_ledger_that_does_not_exist_is_empty(ledger: Ledger) -> None:
    """Nothing has happened yet."""
    assert read(ledger.path) == []


TAMPERS: dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]] = {
    "an edit": ("line 3 was edited", lambda lines: [*lines[:2], lines[2].replace(b"key-3", b"key-9"), *lines[3:]]),
    "the first edited": ("line 1 was edited", lambda lines: [lines[0].replace(b"tester", b"nobody"), *lines[1:]]),
    "the last edited": ("line 5 was edited", lambda lines: [*lines[:4], lines[4].replace(b"key-5", b"key-9")]),
    "a removal": ("event 3 is missing", lambda lines: [*lines[:2], *lines[3:]]),
    "the first removed": ("event 1 is missing", lambda lines: lines[1:]),
    "two swapped": ("lines were moved", lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]),
    "a repetition": ("are the same", lambda lines: [*lines[:2], lines[1], *lines[2:]]),
    "a field added": ("line 1 was edited", lambda lines: [lines[0][:-1] + b',"x":1}', *lines[1:]]),
    "a blank added": ("line 1 was edited", lambda lines: [lines[0] + b" ", *lines[1:]]),
    "one unreadable": ("line 3 was made unreadable", lambda lines: [*lines[:2], b"#" + lines[2], *lines[3:]]),
    "the last unreadable": ("line 5 was made unreadable", lambda lines: [*lines[:4], b"#" + lines[4]]),
    "the end cut off": ("events 4 to 5 of it are known to events.head", lambda lines: lines[:3]),
    "all cut off": ("events 1 to 5 of it", lambda lines: lines[:0]),
    "another beginning": ("two different events 1", lambda lines: [*lines, lines[0].replace(b"tester", b"nobody")]),
}


@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_changed_ledger_is_refused_with_what_was_done(ledger: Ledger, tamper: str) -> None:
    """Edits, removals, swaps, insertions, cuts and forks are told apart, with the line's number."""
    filled(ledger)
    lines = ledger.path.read_bytes().splitlines()
    said, change = TAMPERS[tamper]
    ledger.path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
    with pytest.raises(LedgerError, match=said):
        read(ledger.path)


def test_an_untouched_chain_verifies(ledger: Ledger) -> None:
    """The negative twin of the tampering test."""
    assert read(ledger.path) == []
    assert read(ledger.path) == filled(ledger, 0)
    assert filled(ledger) == read(ledger.path)


def torn_append(ledger: Ledger, size: int) -> None:
    """What a crash leaves ``size`` bytes into the next event: neither memory nor anybody else knows of it."""
    before = ledger.path.read_bytes(), recall(ledger.path)
    ledger.append("stack.up", "torn")
    line = ledger.path.read_bytes()[len(before[0]) :]
    assert before[1] is not None
    ledger.path.write_bytes(before[0] + line[:size])
    remember(ledger.path, before[1])


@pytest.mark.parametrize("size", range(1, 210, 7))
def test_a_torn_last_line_is_healed_by_the_next_event(ledger: Ledger, size: int) -> None:
    """Killed anywhere in mid-write, the ledger still reads, and the next event follows the last whole one."""
    filled(ledger, 3)
    torn_append(ledger, size)
    survivors = read(ledger.path)
    assert len(survivors) == 3
    assert len(verify(ledger.path).torn) == 1
    ledger.append("stack.up", "stack")
    after = read(ledger.path)
    assert after[:-1] == survivors
    assert after[-1].seq == 4


def test_an_event_that_lacks_only_its_line_end_is_whole(ledger: Ledger) -> None:
    """A crash one byte before the end costs nothing."""
    filled(ledger, 3)
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    assert len(read(ledger.path)) == 3
    assert ledger.append("stack.up", "stack").seq == 4
    assert [event.seq for event in read(ledger.path)] == [1, 2, 3, 4]


def test_an_end_that_was_cut_is_recorded_before_the_chain_goes_on(ledger: Ledger) -> None:
    """Work goes on, and what was missing is inside the chain: found until the operator accepts it."""
    filled(ledger)
    ledger.path.write_bytes(b"".join(ledger.path.read_bytes().splitlines(keepends=True)[:3]))
    assert ledger.append("stack.up", "stack").seq == 5
    found = verify(ledger.path)
    assert [damage.kind for damage in found.damages] == [Kind.TRUNCATED]
    assert "line 4 records that the end was another one" in found.damages[0].text
    ledger.append("ledger.accept", "ledger")
    assert [event.event for event in read(ledger.path)][3:] == ["ledger.damaged", "stack.up", "ledger.accept"]


def test_an_older_copy_put_back_is_recorded_too(ledger: Ledger) -> None:
    """The same length, another event: the last line is not the one that was written."""
    filled(ledger, 3)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"key-3", b"key-9"))
    ledger.append("stack.up", "stack")
    assert [event.event for event in _all(ledger)][3:] == ["ledger.damaged", "stack.up"]


def test_a_memory_that_is_lost_or_torn_costs_nothing(ledger: Ledger) -> None:
    """Without it the chain goes on and verifies; the next event remembers again."""
    filled(ledger, 2)
    for content in (None, b"", b"{", b"\0" * 256):
        beside(ledger.path).unlink()
        if content is not None:
            beside(ledger.path).write_bytes(content)
        ledger.append("stack.up", "stack")
        assert recall(ledger.path) == verify(ledger.path).head
    assert verify(ledger.path).intact


def _all(ledger: Ledger) -> list[Event]:
    return [msgspec.json.decode(line, type=Event) for line in ledger.path.read_bytes().splitlines()]


@pytest.mark.parametrize("torn", [b"{", b'{"seq":1', b"\n", b"{\n", b"\n\n{"])
def test_a_first_event_that_was_torn_does_not_block_the_ledger(ledger: Ledger, torn: bytes) -> None:
    """A crash during the very first events leaves a ledger that can be written."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(torn)
    assert ledger.append("stack.up", "stack").seq == 1
    assert len(read(ledger.path)) == 1


def _append_many(path: Path, name: str, count: int) -> None:
    for n in range(count):
        Ledger(path, name).append("secret.write", f"{name}/{n}")


def test_processes_that_write_at_once_make_one_chain(ledger: Ledger) -> None:
    """Four writers, one chain, nothing lost and each writer's own order kept."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(ledger.path, f"w{n}", 50)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    events = read(ledger.path)
    assert [event.seq for event in events] == list(range(1, 201))
    for n in range(4):
        assert [e.target for e in events if e.actor == f"w{n}"] == [f"w{n}/{i}" for i in range(50)]


def test_killed_writers_lose_no_acknowledged_event(ledger: Ledger) -> None:
    """After kill -9 at random instants every event whose append returned is in an intact chain."""
    answers, answer = os.pipe()
    acknowledged = b""
    for round_ in range(10):
        pid = os.fork()
        if pid == 0:
            for n in itertools.count():
                ledger.append("secret.write", f"{round_}-{n}")
                os.write(answer, f"{round_}-{n}\n".encode())
        acknowledged += os.read(answers, 1 << 16)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    os.close(answer)
    acknowledged += os.read(answers, 1 << 16)
    os.close(answers)
    assert set(acknowledged.decode().split()) <= {event.target for event in read(ledger.path)}
    assert len(acknowledged.split()) >= 10


def test_a_full_disk_is_an_error_of_ours_and_the_chain_goes_on(ledger: Ledger) -> None:
    """An append that finds no room raises LedgerError; with room again the chain continues and verifies."""
    filled(ledger, 3)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limit = ledger.path.stat().st_size + 40
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            ledger.append("stack.up", "stack")
        except LedgerError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert ledger.append("stack.down", "stack").seq == 4
    assert len(read(ledger.path)) == 4


def test_an_event_too_long_to_be_found_again_is_refused(ledger: Ledger) -> None:
    """A huge detail is refused before anything is written; the ledger stays usable."""
    filled(ledger, 1)
    with pytest.raises(LedgerError, match="too long"):
        ledger.append("secret.write", "app/x", detail={"d": "x" * (1 << 16)})
    assert ledger.append("stack.up", "stack", detail={"d": "\n" * 20000}).seq == 2
    assert ledger.append("stack.up", "stack").seq == 3
    assert len(read(ledger.path)) == 3


def test_text_that_no_line_can_hold_is_refused(ledger: Ledger) -> None:
    """A name with broken characters (a file name that is no UTF-8) is an error of ours, not a traceback."""
    with pytest.raises(LedgerError, match="characters"):
        ledger.append("bot.start", "\udcff")


def test_a_value_with_line_breaks_stays_one_line(ledger: Ledger) -> None:
    """Nobody can forge a line through a target or a detail."""
    ledger.append("secret.write", 'x"}\n{"seq":2', detail={"a\nb": "\u2028"})
    assert ledger.path.read_bytes().count(b"\n") == 1
    assert len(read(ledger.path)) == 1


def test_a_ledger_of_garbage_is_not_written_over(ledger: Ledger) -> None:
    """A file that is no ledger is refused: something else stands there."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"not a ledger\n" * 30000)
    with pytest.raises(LedgerError, match="holds no event"):
        ledger.append("stack.up", "stack")


def test_a_ledger_that_cannot_be_opened_is_an_error_of_ours(tmp_path: Path) -> None:
    """A file in the directory's place, and a directory in the file's, are told plainly."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot"):
        Ledger(tmp_path / "file" / "events.jsonl", "t").append("stack.up", "stack")
    (tmp_path / "dir").mkdir()
    with pytest.raises(LedgerError, match="cannot"):
        Ledger(tmp_path / "dir", "t").append("stack.up", "stack")
    with pytest.raises(LedgerError, match="cannot"):
        read(tmp_path / "dir")
