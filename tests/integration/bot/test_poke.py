"""A word from a writer reaches the launcher at once; a false word, a flood or a deaf launcher harms nobody."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasos.bot.poke import BURST, EVERY, Allowance, Pokes, poke, poking
from nasos.errors import FileRefused
from nasos.ledger import Outcome
from simulators.launched import API, EXCHANGE, HeldVault, Launched, Start, eventually

ANOTHER = 65534

AS_ANOTHER_USER = """
import os, socket, sys
wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
place = os.open(sys.argv[1], os.O_PATH)
os.setgroups([])
os.setuid(int(sys.argv[2]))
wire.sendto(b"api", f"/proc/self/fd/{place}")
"""


@pytest.fixture
def waker() -> Iterator[int]:
    """What ends a wait early; nobody does."""
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


@pytest.fixture
def slow(start: Start, held_vault: HeldVault) -> Launched:
    """A launcher that polls once in ten minutes, with its bot."""
    assert held_vault.records
    launched = start(interval=600)
    launched.first()
    return launched


def secrets(launched: Launched) -> list[tuple[str, str]]:
    """Which records it found changed, and their version."""
    return [(e.target.rpartition("/")[2], e.detail["version"]) for e in launched.events() if e.event == "bot.secret"]


def run_directory(launched: Launched) -> Path:
    """Where its socket is."""
    return launched.home / "run" / "bot"


def test_a_poked_record_is_read_at_once(slow: Launched, held_vault: HeldVault) -> None:
    """Long before the next poll; and the one that was not named is not."""
    held_vault.put("exchange", {**EXCHANGE, "secret": "planted-new-secret-1H"})
    held_vault.put("api", {**API, "password": "planted-new-password-4G"})
    assert poke(run_directory(slow), "testbot", "api")
    eventually(lambda: secrets(slow))
    assert secrets(slow) == [("api", "2")]


def test_without_a_poke_the_poll_finds_it(start: Start, held_vault: HeldVault) -> None:
    """The negative twin: nobody said a word."""
    launched = start()
    launched.first()
    held_vault.put("api", {**API, "password": "planted-new-password-4G"})
    eventually(lambda: secrets(launched) == [("api", "2")])


def test_a_record_that_the_bot_did_not_have_is_told(slow: Launched, held_vault: HeldVault) -> None:
    """A poke may name a new one."""
    held_vault.put("telegram", {"token": "planted-telegram-token-2P"})
    poke(run_directory(slow), "testbot", "telegram")
    eventually(lambda: secrets(slow) == [("telegram", "1")])


@pytest.mark.parametrize("name", ["nothing", "..", "a/b", "", "x" * 300, "\n", "ä"])
def test_a_made_up_name_changes_nothing(slow: Launched, held_vault: HeldVault, name: str) -> None:
    """Neither a trouble is told, nor is the next poke missed."""
    poke(run_directory(slow), "testbot", name)
    held_vault.put("api", {**API, "password": "planted-new-password-4G"})
    poke(run_directory(slow), "testbot", "api")
    eventually(lambda: secrets(slow) == [("api", "2")])
    assert not [e for e in slow.events() if e.event == "bot.refresh"]


def test_a_word_that_came_while_the_bot_restarted_is_not_lost(start: Start, held_vault: HeldVault) -> None:
    """It waits in the socket."""
    launched = start(interval=600, policy={"first_delay": 0.01, "quick": 0.0})
    pid = launched.first()["pid"]
    os.kill(pid, 9)
    poke(run_directory(launched), "testbot", "api")
    eventually(lambda: len(launched.reports()) == 2)
    held_vault.put("api", {**API, "password": "planted-new-password-4G"})
    poke(run_directory(launched), "testbot", "api")
    eventually(lambda: ("api", "2") in secrets(launched))


def test_the_socket_goes_with_its_launcher_and_a_dead_ones_is_no_obstacle(start: Start) -> None:
    """A killed launcher leaves its socket: a writer is not held up, and the next launcher takes its place."""
    launched = start()
    launched.first()
    path = run_directory(launched) / "testbot.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    launched.process.kill()
    launched.process.wait()
    assert path.exists()
    assert not poke(path.parent, "testbot", "api")
    again = start()
    again.first()
    eventually(lambda: poke(path.parent, "testbot", "api"))
    again.stop()
    assert not path.exists()
    assert not poke(path.parent, "testbot", "api")


def test_a_launcher_that_does_not_listen_delays_no_writer(tmp_path: Path) -> None:
    """Its buffer is full: the next word is dropped, not waited for."""
    with Pokes(tmp_path, "deaf", {os.geteuid()}):
        taken = [poke(tmp_path, "deaf", "api") for _ in range(3000)]
    assert taken[0]
    assert not taken[-1]


def test_what_is_no_socket_is_not_written_to(tmp_path: Path) -> None:
    """A file, or a link to somebody else's socket."""
    (tmp_path / "file.sock").touch()
    assert not poke(tmp_path, "file", "api")
    with Pokes(tmp_path, "real", {os.geteuid()}):
        (tmp_path / "link.sock").symlink_to(tmp_path / "real.sock")
        assert not poke(tmp_path, "link", "api")
        assert poke(tmp_path, "real", "api")


def test_a_long_state_directory_has_a_socket_too(tmp_path: Path, waker: int) -> None:
    """Longer than a socket's address can be (108 bytes, unix(7))."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with Pokes(deep, "mybot", {os.geteuid()}) as pokes:
        assert poke(deep, "mybot", "db")
        assert pokes.wait(waker, 30) == {"db": False}


def test_a_missing_run_directory_is_a_clear_error(tmp_path: Path) -> None:
    """Named, with its reason."""
    with (
        pytest.raises(FileRefused, match=r"cannot listen at .*/nowhere/x.sock: no such file"),
        contextlib.ExitStack() as s,
    ):
        s.enter_context(Pokes(tmp_path / "nowhere", "x", ()))


def test_only_a_listed_user_is_heard(tmp_path: Path, waker: int) -> None:
    """The kernel says who sent it; whoever is not listed might as well have said nothing."""
    path = tmp_path / "mybot.sock"
    with Pokes(tmp_path, "mybot", {ANOTHER}) as pokes:
        assert poke(tmp_path, "mybot", "db")
        assert pokes.wait(waker, 0.2) == {}
        if os.geteuid() == 0:
            path.chmod(0o666)
            subprocess.run([sys.executable, "-c", AS_ANOTHER_USER, str(path), str(ANOTHER)], check=True)
            assert pokes.wait(waker, 30) == {"api": False}


def test_many_words_are_one(tmp_path: Path, waker: int) -> None:
    """What is said again before somebody listens is said once, and urgent if it was once; descriptors are not taken."""
    with Pokes(tmp_path, "mybot", {os.geteuid()}) as pokes:
        for name in ("db", "api", "db", "db"):
            poke(tmp_path, "mybot", name)
        poke(tmp_path, "mybot", "api", urgent=True)
        poke(tmp_path, "mybot", "api")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wire, (tmp_path / "any").open("w") as file:
            wire.connect(str(tmp_path / "mybot.sock"))
            socket.send_fds(wire, [b"exchange"], [file.fileno()])
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  names, without a path for each
        assert pokes.wait(waker, 30) == {"db": False, "api": True, "exchange": False}
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  as above


def test_a_flood_is_followed_no_faster_than_polling() -> None:
    """Twenty at once, then one in two seconds, whatever came meanwhile."""
    allowance, now, followed = Allowance(1000.0), 1000.0, 0
    for _ in range(100_000):
        now += 0.001
        if not allowance.wait(now):
            allowance.take()
            followed += 1
    assert BURST + 100 // EVERY - 1 <= followed <= BURST + 100 // EVERY
    assert 0 < allowance.wait(now) <= EVERY


def test_a_flooded_launcher_still_stops_at_once(slow: Launched) -> None:
    """And has not read for each word."""
    for _ in range(3000):
        poke(run_directory(slow), "testbot", "api")
    started = time.monotonic()
    assert slow.stop() == 130
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        (("secret.write", "nasos/bots/mybot/api", Outcome.OK), {"api"}),
        (("secret.delete", "nasos/bots/mybot/api", Outcome.OK), {"api"}),
        (("secret.write", "nasos/bots/mybot/api", Outcome.UNKNOWN), {"api"}),
        (("secret.write", "nasos/bots/mybot/api", Outcome.REFUSED), set()),
        (("secret.write", "nasos/bots/other/api", Outcome.OK), set()),
        (("secret.write", "nasos/app/api", Outcome.OK), set()),
        (("vault.stale-read", "nasos/bots/mybot/api", Outcome.OK), set()),
    ],
)
def test_a_clients_event_pokes_whom_it_concerns(
    tmp_path: Path, waker: int, event: tuple[str, str, Outcome], heard: set[str]
) -> None:
    """Writes of that bot's records that were done, or may have been; and everything is told on."""
    told: list[object] = []
    with Pokes(tmp_path, "mybot", {os.geteuid()}) as pokes:
        poking(tmp_path, lambda *event: told.append(event[:3]))(*event, {})
        assert pokes.wait(waker, 0.1).keys() == heard
    assert told == [event]
