"""Every process and every two processes of a trading stack, killed at random times; and ten minutes without Vault.

What is held to: no trade that was in PostgreSQL is lost or changed, no secret that was acknowledged is lost, there is
never a second bot, and the stack heals by itself (where the supervisor was killed: by ``nasos up``). The figures are
printed; ``-rP`` shows them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import secrets
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psycopg
import pytest

from fixtures.stack import PROJECT, Walk, free_base_port, until
from nasos.ledger import Event, read
from nasos.notify import worth
from nasos.secret import Secret
from nasos.settings import AppRole, VaultConnection
from nasos.vault import VaultClient

pytestmark = pytest.mark.long

MATRIX_SECONDS = 600.0
LONGEST = 2400.0
"""Seconds after which a machine that is too slow for every pair has to be content with those that it dealt."""
OUTAGE_SECONDS = 600.0
APART = 2.0
"""Seconds between the two kills of a pair, at most."""
PROGRAMS = ("vault", "exchange", "postgres", "bot", "gateway", "nginx", "housekeeping", "watcher", "rotator")
VICTIMS = (*PROGRAMS, "freqtrade", "supervisord")

Trades = dict[int, tuple[object, ...]]


def is_bot(pid: int, home: Path) -> bool:
    """Whether this is a living bot of that stack."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return b"nasos.bot.entry" in command and str(home).encode() in command and state not in "ZX"


def bots(home: Path) -> list[int]:
    """The living bots of a stack."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if is_bot(int(entry.name), home)]


class Census(threading.Thread):
    """Counts the bots of one stack all the time."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home = home
        self._done = threading.Event()
        self.crowds: list[list[int]] = []
        """Each look that saw more than one."""
        self.looks = 0

    def run(self) -> None:
        """Look ten times a second."""
        while not self._done.wait(0.1):
            self.looks += 1
            # A listing takes time, in which one may end and the next begin: who is listed must be there still.
            found = bots(self._home)
            if len(found) > 1 and len(crowd := [pid for pid in found if is_bot(pid, self._home)]) > 1:
                self.crowds.append(crowd)

    def end(self) -> None:
        """Stop counting."""
        self._done.set()
        self.join()


@dataclass
class Ground:
    """A stack of the test's own, trading."""

    walk: Walk
    stored: dict[str, str] = field(default_factory=dict, repr=False)
    """Secrets that were acknowledged."""
    bearer: str = field(default="", repr=False)

    @cached_property
    def vault(self) -> VaultClient:
        """As the operator."""
        file = self.walk.home / "credentials" / "operator.json"
        address = f"https://127.0.0.1:{self.walk.port + 1}"
        credential = AppRole(role_id="", secret_id_file=file)
        return VaultClient(VaultConnection(address, self.walk.ca_file, credential), prefix="nasos")

    @cached_property
    def login(self) -> tuple[str, str]:
        """The bot's database login."""
        fields = self.vault.read("bots/nasos/db").fields
        return fields["username"].reveal(), fields["password"].reveal()

    def pids(self) -> dict[str, int | None]:
        """Who runs now."""
        found: dict[str, int | None] = {each["name"]: each["pid"] for each in self.walk.json("status")["programs"]}
        found["freqtrade"] = next(iter(bots(self.walk.home)), None)
        record = self.walk.home / "run" / "supervisord" / "process"
        found["supervisord"] = int(record.read_text().split(" ", 1)[0]) if record.exists() else None
        return found

    def trades(self) -> Trades:
        """Every trade with a filled order, with what never changes of it; how it was closed, once it was."""
        with psycopg.connect(
            host="127.0.0.1", port=self.walk.port + 2, dbname="nasos", sslmode="verify-full",
            sslrootcert=str(self.walk.ca_file), connect_timeout=10, user=self.login[0], password=self.login[1],
        ) as db:  # fmt: skip
            rows = db.execute(
                "SELECT id, pair, open_date, open_rate, is_open, close_date, close_rate FROM trades t WHERE EXISTS"
                " (SELECT 1 FROM orders o WHERE o.ft_trade_id = t.id AND o.filled > 0 AND NOT o.ft_is_open)"
            ).fetchall()
        return {row[0]: row[1:] for row in rows}

    def store(self) -> None:
        """One more secret, acknowledged right before something dies."""
        name, value = f"app/kept-{len(self.stored)}", secrets.token_hex(16)
        self.vault.write(name, {"value": Secret(value)})
        self.stored[name] = value

    def lost(self) -> list[str]:
        """Secrets that are not what they were."""
        return [name for name, value in self.stored.items() if self.vault.read(name).fields["value"].reveal() != value]

    def trade(self) -> None:
        """Have an open trade closed, so that there is room for the next; the strategy does the rest."""
        with contextlib.suppress(OSError, ValueError):  # the front door may be one of the dead
            head = {**self.walk.bearer, "Content-Type": "application/json"}
            for number in [number for number, trade in self.trades().items() if trade[3]][:1]:
                self.walk.https("/api/v1/forceexit", head, "POST", json.dumps({"tradeid": str(number)}).encode())

    def healed(self, up: bool) -> None:  # noqa: FBT001  one switch
        """Wait until all is proven healthy."""
        if up:
            self.up()
        until(self.walk.healthy, 400)

    def up(self) -> None:
        """A busy machine may need longer than one `up` waits for; the next one goes on from there."""
        until(lambda: self.walk.nasos("up", "--port", str(self.walk.port), check=False).returncode == 0, 400)

    def every_event(self) -> list[Event]:
        """The stack's and its services', wherever they keep them."""
        places = ("run/bot", "run/gateway", "ledger")
        return [event for place in places for event in read(self.walk.home / place / "events.jsonl")]

    def events(self, name: str) -> list[Event]:
        """Those of one name."""
        return [event for event in self.every_event() if event.event == name]

    def alerts(self) -> set[tuple[str, str]]:
        """Events that a person is told of, with when they happened."""
        return {(event.event, event.time) for event in self.every_event() if worth(event)}


def lost_trades(before: Trades, after: Trades) -> list[str]:
    """What is missing, or is another one now; an open one may have been closed."""
    flaws = []
    for number, was in before.items():
        now = after.get(number)
        if now is None or now[:3] != was[:3] or (not was[3] and now != was):
            flaws.append(f"trade {number}: {was} -> {now}")
    return flaws


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """``nasos up`` in an empty home, past the first trade."""
    base = Path(tempfile.mkdtemp(prefix="nasos-kill-"))
    base.chmod(0o755)
    (base / "keys").mkdir(mode=0o711)
    port = free_base_port()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(base), "LANG": "C.UTF-8",
        "NASOS_HOME": str(base / "state"), "NASOS_KEY_DIR": str(base / "keys" / "key"),
    }  # fmt: skip
    walk = Walk(PROJECT, base / "state", port, None, environment, None)  # type: ignore[arg-type]  # no set-up script ran
    try:
        found = Ground(walk)
        found.up()
        until(found.trades, 180)
        yield found
        found.vault.close()
    finally:
        walk.nasos("down", check=False)
        shutil.rmtree(base, ignore_errors=True)


def deal() -> Iterator[tuple[str, ...]]:
    """Every single victim and every pair, shuffled; then shuffled again."""
    cards = [(one,) for one in VICTIMS] + list(itertools.combinations(VICTIMS, 2))
    while True:
        random.shuffle(cards)
        yield from cards


def kill(ground: Ground, victims: tuple[str, ...]) -> None:
    """`kill -9`, the second one a moment after the first."""
    pids = ground.pids()
    for number, victim in enumerate(random.sample(victims, len(victims))):
        if number:
            time.sleep(random.uniform(0, APART))  # noqa: S311  no cryptography
        pid = pids[victim]
        assert pid, f"{victim} does not run: {pids}"
        with contextlib.suppress(ProcessLookupError):  # it died with the first one
            os.kill(pid, signal.SIGKILL)


def test_every_process_and_every_two_killed_under_trading(ground: Ground) -> None:
    """For ten minutes and at least once each: nothing is lost, nothing is double, all heals."""
    census = Census(ground.walk.home)
    census.start()
    begun, seconds, flaws, first = time.monotonic(), {}, [], ground.trades()
    everything = len(VICTIMS) + len(list(itertools.combinations(VICTIMS, 2)))
    for number, victims in enumerate(deal()):
        spent = time.monotonic() - begun
        if spent > LONGEST or (spent > MATRIX_SECONDS and number >= everything):
            break
        ground.store()
        ground.trade()
        before = ground.trades()
        kill(ground, victims)
        started = time.monotonic()
        ground.healed("supervisord" in victims)
        seconds[f"{number} {'+'.join(victims)}"] = time.monotonic() - started
        flaws += [f"{victims}: {flaw}" for flaw in lost_trades(before, ground.trades())]
        sys.stdout.write(f"{number} {'+'.join(victims)}: {time.monotonic() - started:.1f} s, {len(flaws)} flaws\n")
        time.sleep(random.uniform(0, 2))  # noqa: S311  the bot gets to trade
    census.end()
    last = ground.trades()
    worst = max(seconds, key=lambda name: seconds[name])
    sys.stdout.write(
        f"{len(seconds)} rounds in {time.monotonic() - begun:.0f} s; {len(ground.stored)} secrets\n"
        f"{census.looks} times the bots were counted\n"
        f"healed: median {statistics.median(seconds.values()):.1f} s, max {seconds[worst]:.1f} s ({worst})\n"
        f"trades: {len(first)} -> {len(last)}, {sum(not each[3] for each in last.values())} closed\n"
        f"{len({name.split()[1] for name in seconds})} of {everything} singles and pairs\n"
    )
    assert flaws == []
    assert lost_trades(first, last) == []
    assert last != first, "it did not trade"
    assert ground.lost() == []
    assert census.crowds == []
    assert census.looks > 100


def test_ten_minutes_without_vault(ground: Ground) -> None:
    """The same bot trades on, one event says so and one that it is over, and nothing was started beside it."""
    ground.healed(up=True)
    census = Census(ground.walk.home)
    census.start()
    before, told, heard = ground.pids(), len(ground.events("bot.refresh")), ground.alerts()
    ground.trade()  # its login needs Vault
    trades, starts = ground.trades(), len(ground.events("bot.start"))
    vault = before["vault"]
    assert vault
    os.kill(vault, signal.SIGSTOP)  # killed, its supervisor would start it again
    try:
        deadline = time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < deadline:
            assert ground.walk.pings()
            ground.trade()
            time.sleep(20)
        assert [event.outcome.value for event in ground.events("bot.refresh")[told:]] == ["failed"]
        assert bots(ground.walk.home) == [before["freqtrade"]]
        assert [name for name, _ in ground.alerts() - heard] == ["bot.refresh"], "one alert"
    finally:
        os.kill(vault, signal.SIGCONT)
    until(lambda: len(ground.events("bot.refresh")) == told + 2, 60)
    ground.healed(up=False)
    after, traded = ground.pids(), ground.trades()
    census.end()
    assert {name: after[name] for name in ("bot", "freqtrade", "postgres")} == {
        name: before[name] for name in ("bot", "freqtrade", "postgres")
    }
    assert [event.outcome.value for event in ground.events("bot.refresh")[told:]] == ["failed", "ok"]
    assert len(ground.events("bot.start")) == starts
    assert lost_trades(trades, traded) == []
    assert traded != trades, "it did not trade"
    assert census.crowds == []
    sys.stdout.write(f"{OUTAGE_SECONDS:.0f} s without vault: trades {len(trades)} -> {len(traded)}\n")
