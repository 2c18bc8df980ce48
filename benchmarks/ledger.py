"""The ledger against SQLite and against a plain file: events per second, each durable before the next.

Run it from the checkout::

    .venv/bin/python benchmarks/ledger.py [events]

Durability is the same for all: nothing is acknowledged before the kernel says that it is on disk (`fdatasync` for us
and for the plain file, ``synchronous=FULL`` and one transaction per event for SQLite, in WAL mode, its fastest). The
plain file writes the same JSON without hash, lock and remembered end: it is what the disk allows. They take turns in
batches, so that whatever else the machine does hits all. Then the same without the disk, how fast a ledger is verified,
and what a reader costs that has nothing to read.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from nasos.ledger import START, Ledger, verify
from nasos.ledger.event import digest
from nasos.ledger.follow import Follower

BATCH = 50
VERIFIED = 50_000
DETAIL = {"by": "you", "fields": "value", "version": "3"}


def batch(append: Callable[[int], object], start: int) -> float:
    """Seconds per event."""
    started = time.perf_counter()
    for number in range(start, start + BATCH):
        append(number)
    return (time.perf_counter() - started) / BATCH


def plain_file(path: Path) -> Callable[[int], object]:
    """Open, write, sync, close: a program that logs each event by itself, as our commands do."""

    def append(number: int) -> None:
        event = {
            "seq": number,
            "time": time.time(),
            "event": "secret.write",
            "target": "nasos/app/key",
            "detail": DETAIL,
        }
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, json.dumps(event).encode() + b"\n")
        os.fdatasync(fd)
        os.close(fd)

    return append


def sqlite(path: Path) -> Callable[[int], object]:
    """A row per event, with the hash of the one before, so that it holds as much as a line of ours."""
    base = sqlite3.connect(path, isolation_level=None)
    base.execute("pragma journal_mode=wal")
    base.execute("pragma synchronous=full")
    base.execute("create table events (seq integer primary key, prev text, line text)")
    last = {"hash": START.hash}

    def append(_: int) -> None:
        line = json.dumps({"time": time.time(), "event": "secret.write", "target": "nasos/app/key", "detail": DETAIL})
        base.execute("insert into events (prev, line) values (?, ?)", (last["hash"], line))
        last["hash"] = digest(f"{last['hash']}{line}".encode())

    return append


def main(events: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
        place = Path(directory)
        ledger = Ledger(place / "events.jsonl", "bench")
        writers: dict[str, Callable[[int], object]] = {
            "nasos": lambda number: ledger.append("secret.write", f"nasos/app/key-{number}", detail=DETAIL),
            "sqlite": sqlite(place / "events.db"),
            "plain": plain_file(place / "plain.jsonl"),
        }
        taken: dict[str, list[float]] = {name: [] for name in writers}
        for start in range(0, events, BATCH):
            for name, append in writers.items():
                taken[name].append(batch(append, start))
        rates = {name: 1 / statistics.median(seconds) for name, seconds in taken.items()}
        for name, rate in rates.items():
            print(f"append  {name:7} {rate:8,.0f} events/s   nasos / {name} = {rates['nasos'] / rate:.2f}")
        reading(place)


def reading(place: Path) -> None:
    """How fast a ledger of several parts is verified and followed."""
    path = place / "long" / "events.jsonl"
    ledger = Ledger(path, "bench", limit=4 << 20)
    sync, os.fdatasync = os.fdatasync, lambda _: None  # only here: the disk is not what is measured now
    started = time.perf_counter()
    for number in range(VERIFIED):
        ledger.append("secret.write", f"nasos/app/key-{number}", detail=DETAIL)
    print(f"append  nasos without waiting for the disk: {VERIFIED / (time.perf_counter() - started):,.0f} events/s")
    os.fdatasync = sync
    started = time.perf_counter()
    assert verify(path).events == VERIFIED
    seconds = time.perf_counter() - started
    size = sum(each.stat().st_size for each in path.parent.iterdir())
    print(f"verify  {VERIFIED:,} events in {seconds:.2f} s: {VERIFIED / seconds:,.0f} lines/s; {size / 1e6:.1f} MB")
    follower = Follower(path, None)
    follower.news()
    started = time.perf_counter()
    for _ in range(10_000):
        follower.news()
    print(f"follow  {(time.perf_counter() - started) * 100:.1f} µs for a look without news")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
