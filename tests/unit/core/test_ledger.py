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
from nasos.ledger import GENESIS, Event, Ledger, Outcome, read

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


TAMPERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edited": lambda lines: [*lines[:2], lines[2].replace(b"key-3", b"key-9"), *lines[3:]],
    "first edited": lambda lines: [lines[0].replace(b"tester", b"nobody"), *lines[1:]],
    "removed": lambda lines: [*lines[:2], *lines[3:]],
    "first removed": lambda lines: lines[1:],
    "swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "repeated": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "field added": lambda lines: [lines[0][:-1] + b',"x":1}', *lines[1:]],
    "whitespace added": lambda lines: [lines[0] + b" ", *lines[1:]],
    "made unreadable": lambda lines: [*lines[:2], b"#" + lines[2], *lines[3:]],
    "another ledger's": lambda lines: [*lines, lines[0]],
    "emptied and begun again": lambda lines: [*lines, lines[0].replace(b'"seq":1', b'"seq":6')],
}


@pytest.mark.parametrize("tamper", TAMPERS)
def test_a_changed_chain_does_not_verify(ledger: Ledger, tamper: str) -> None:
    """Edits, removals, swaps and insertions are found, with the line's number."""
    filled(ledger)
    lines = ledger.path.read_bytes().splitlines()
    ledger.path.write_bytes(b"\n".join(TAMPERS[tamper](lines)) + b"\n")
    with pytest.raises(LedgerError, match=r"line \d+ does not follow"):
        read(ledger.path)


def test_an_untouched_chain_verifies(ledger: Ledger) -> None:
    """The negative twin of the tampering test."""
    assert read(ledger.path) == []
    assert read(ledger.path) == filled(ledger, 0)
    assert filled(ledger) == read(ledger.path)


@pytest.mark.parametrize("cut", range(1, 250, 7))
def test_a_torn_last_line_is_healed_by_the_next_event(ledger: Ledger, cut: int) -> None:
    """Cut anywhere in mid-write, the ledger still reads, and the next event follows the last whole one."""
    filled(ledger, 3)
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:-cut])
    survivors = read(ledger.path)
    assert len(survivors) in (1, 2, 3)
    ledger.append("stack.up", "stack")
    after = read(ledger.path)
    assert after[:-1] == survivors
    assert after[-1].seq == len(survivors) + 1


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
