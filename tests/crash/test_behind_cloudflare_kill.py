"""The command that puts Cloudflare in front is killed (`kill -9`) anywhere, and typed again.

At no moment does nginx show a certificate that nobody accepts, are visitors refused who come through Cloudflare, or is
somebody let in who was kept out before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest
from msgspec import structs

import fixtures.behind as bench
from fixtures.behind import ELSEWHERE, HOST, Behind
from nasos.stack.origin.memory import PULLS, Stage, place, recall, remember

SETUP = ("tls", "setup", "--mode", "cloudflare")
ENOUGH = 200
"""More steps than the way has."""


@contextlib.contextmanager
def watched(behind: Behind) -> Iterator[list[str]]:
    """What was wrong at any moment of the block, seen by somebody who looks all the time."""
    wrong: list[str] = []
    over = threading.Event()

    def look() -> None:
        shut = 0
        while not over.wait(0.1):
            with contextlib.suppress(OSError, ssl.SSLError):
                if behind.signer() == "nobody":
                    wrong.append("nginx shows a certificate that nobody accepts")
                status = behind.front.ask(HOST, "/nowhere")[0]
                if status not in {404, 200}:
                    wrong.append(f"a visitor through Cloudflare got {status}")
                shut = shut + 1 if not behind.asks(ELSEWHERE) else 0 if shut < bench.IN_A_ROW else shut
                if shut >= bench.IN_A_ROW and behind.asks(ELSEWHERE):
                    wrong.append("somebody was let in who had been kept out")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def ended(behind: Behind) -> None:
    """The way was gone to its end, whatever happened before; one of each thing is left."""
    done = behind.setup()
    assert done.returncode == 0, done.stderr
    assert (behind.stage, behind.signer(), behind.zone.settings["ssl"]) == (Stage.REQUIRED, "cloudflare", "strict")
    assert behind.becomes(ELSEWHERE, open_=False)
    assert len(behind.zone.pulls) == 1
    assert (place(behind.stack.home) / PULLS).read_bytes().count(b"BEGIN") == 1
    assert len(list(place(behind.stack.home).glob("pair-*"))) == 1
    assert behind.visits()


def killed_after_a_change(behind: Behind, met: set[str]) -> bool:
    """The command, killed when Cloudflare has done something that no run was killed at, and has not answered yet."""
    process: list[subprocess.Popen[str]] = []

    def kill() -> None:
        request = behind.simulated.requests[-1]
        if not request.startswith("GET") and request not in met and process:
            met.add(request)
            os.kill(process[0].pid, signal.SIGKILL)

    behind.simulated.between = kill
    try:
        with behind.typed("python", "-m", "nasos", *SETUP) as one:
            process.append(one)
            one.communicate(timeout=bench.DEADLINE * 4)
        return one.returncode == -signal.SIGKILL
    finally:
        behind.simulated.between = None


def test_killed_after_each_change_at_cloudflare(behind: Behind) -> None:
    """Before it hears of it; the next run goes on, and the last one comes to the same end."""
    met: set[str] = set()
    with watched(behind) as wrong:
        while killed_after_a_change(behind, met):
            assert len(met) < ENOUGH
        ended(behind)
    assert len(met) > 6
    assert wrong == []
    assert len(behind.simulated.origin.certificates) <= 2  # the answer with the first one was lost with its key


@pytest.mark.long
def test_killed_before_it_touches_a_file(behind: Behind) -> None:
    """At more and more of its own steps, each run going on where the one before was killed."""
    with watched(behind) as wrong:
        at = 1
        while behind.dies(at, *SETUP):
            at += 7
            assert at < ENOUGH
        ended(behind)
    assert at > 20
    assert wrong == []


@pytest.mark.long
def test_killed_before_it_touches_any_file(behind: Behind) -> None:
    """Each step in turn, from the beginning."""
    for at in range(1, ENOUGH):
        behind.again()
        with watched(behind) as wrong:
            met = behind.dies(at, *SETUP)
            ended(behind)
        assert wrong == [], at
        if not met:
            break
    assert 20 < at < ENOUGH


@pytest.mark.long
def test_the_way_back_is_killed_anywhere(behind: Behind) -> None:
    """Typed again it is back; until then nginx does what it did, and shows what works."""
    for at in range(1, ENOUGH, 4):
        behind.gone()
        behind.configure("dev")
        met = behind.dies(at, "tls", "setup", "--mode", "dev")
        assert behind.signer() != "nobody"
        assert behind.nasos("tls", "setup", "--mode", "dev").returncode == 0
        behind.settles(ELSEWHERE, "development")
        assert behind.stage is Stage.OPEN
        if not met:
            break
    assert 4 < at < ENOUGH


def test_killed_between_closing_and_its_proof_the_next_run_may_open_again(behind: Behind) -> None:
    """What was not seen to work is a try: a name that leads nowhere by then locks nobody out for good."""
    behind.gone()
    home = behind.stack.home
    remember(home, structs.replace(recall(home), stage=Stage.UNPROVEN))
    hosts = behind.hosts.read_text()
    behind.hosts.write_text(f"127.99.99.99 {HOST}\n")
    try:
        assert behind.setup().returncode == 3
    finally:
        behind.hosts.write_text(hosts)
    assert (behind.stage, behind.becomes(ELSEWHERE, open_=True)) == (Stage.ASKING, True)
    ended(behind)
