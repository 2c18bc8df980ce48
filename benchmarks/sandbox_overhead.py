"""What sandbox, hooks and TLS cost the real freqtrade: at its start, and per API call.

``.venv/bin/python benchmarks/sandbox_overhead.py [starts] [calls]`` prints medians and ratios of freqtrade alone (its
secrets in a file, plain http), under the launcher without the sandbox, and as every bot runs. The contestants take
turns, so that a busy machine is busy for all of them. A start is from exec to the API's first answer; the demo
exchange, SQLite. A call is ``/api/v1/count`` with a token: on a new connection, and on one that is kept.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from nasos.bot.api import connection  # noqa: E402  after the tests' helpers can be found
from simulators.launched import API, EXCHANGE, JWT, HeldVault, Start, eventually  # noqa: E402  found by the line above
from simulators.trading import Ground  # noqa: E402  found by the line above

QUIET = """
from freqtrade.strategy import IStrategy

class Quiet(IStrategy):
    timeframe, stoploss, minimal_roi = "5m", -0.9, {"0": 9}
    def populate_indicators(self, dataframe, metadata): return dataframe
    def populate_entry_trend(self, dataframe, metadata): return dataframe
    def populate_exit_trend(self, dataframe, metadata): return dataframe
"""
ENTRY = """#!{project}/.venv-bot/bin/python -I
import sys
sys.path.insert(0, "{project}/src")
from nasos.bot import sandbox
if {unconfined}:
    sandbox.enter = lambda confinement: 0
from nasos.bot.entry import main
main(sys.argv[sys.argv.index("nasos.bot.entry") + 1 :])
"""
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{API['username']}:{API['password']}".encode()).decode()}
Connect = Callable[[], http.client.HTTPConnection]


@contextmanager
def alone(place: Path, exchange: int) -> Iterator[Connect]:
    """Plain freqtrade, as its documentation starts it."""
    ground = prepared(place, exchange, unconfined=True)
    secrets = {"api_server": API | JWT, "exchange": {"api_key": EXCHANGE["key"], "secret": EXCHANGE["secret"]}}
    (place / "secrets.json").write_text(json.dumps(secrets))
    command = [str(PROJECT / ".venv-bot/bin/freqtrade"), "trade", "--userdir", str(ground.user_data)]
    files = ["-c", str(ground.start.home / "base.json"), "-c", str(place / "secrets.json")]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen([*command, *files], stdout=log, stderr=log)
    try:
        yield lambda: http.client.HTTPConnection("127.0.0.1", ground.port, timeout=60)
    finally:
        process.terminate()
        process.wait(120)


@contextmanager
def launched(place: Path, exchange: int, *, unconfined: bool) -> Iterator[Connect]:
    """The same under the launcher."""
    ground = prepared(place, exchange, unconfined=unconfined)
    running = ground.run("trade")
    try:
        yield lambda: connection(ground.port, ground.start.home / "tls/ca.pem", 60)
    finally:
        running.stop(patience=150)
        ground.start.end()
        os.close(ground.vault.fd)


def prepared(place: Path, exchange: int, *, unconfined: bool) -> Ground:
    """Configuration, certificates and records of one bot."""
    vault = HeldVault()
    vault.put("api", API)
    vault.put("jwt", JWT)
    vault.put("exchange", EXCHANGE)
    python = place / "python"
    python.write_text(ENTRY.format(project=PROJECT, unconfined=unconfined))
    python.chmod(0o755)
    return Ground.prepare(Start(place, vault, python), vault, QUIET, exchange)


def answers(connect: Connect) -> bool:
    """Whether the API is there."""
    try:
        return asked(connect(), "/api/v1/ping", {}) != b""
    except OSError:
        time.sleep(0.01)
        return False


def asked(line: http.client.HTTPConnection, path: str, headers: dict[str, str], method: str = "GET") -> bytes:
    """The body of one answer."""
    line.request(method, path, headers=headers)
    return line.getresponse().read()


def calls(connect: Connect, count: int) -> Iterator[tuple[str, float]]:
    """Milliseconds of each call, new and kept connections in turn."""
    login = json.loads(asked(connect(), "/api/v1/token/login", LOGIN, "POST"))
    token, kept = {"Authorization": f"Bearer {login['access_token']}"}, connect()
    for _ in range(count):
        for name, line in (("call, new connection", connect()), ("call, kept connection", kept)):
            begin = time.perf_counter()
            asked(line, "/api/v1/count", token)
            yield name, (time.perf_counter() - begin) * 1000
            if line is not kept:
                line.close()


def measure(starts: int, count: int, say: Callable[[str], None]) -> None:
    """All contestants in turn, ``starts`` times."""
    market = [sys.executable, "-m", "nasos.stack.demo_exchange", "--port", "0"]
    exchange = subprocess.Popen(market, stdout=subprocess.PIPE, text=True)
    assert exchange.stdout
    port = int(exchange.stdout.readline().rpartition(":")[2])
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    directory = Path(tempfile.mkdtemp())
    try:
        for number in range(starts):
            racing = {
                "freqtrade alone": lambda place: alone(place, port),
                "hooks and TLS": lambda place: launched(place, port, unconfined=True),
                "and sandbox": lambda place: launched(place, port, unconfined=False),
            }
            for name, contestant in racing.items():
                place = directory / f"{name}-{number}"
                place.mkdir()
                begin = time.perf_counter()
                with contestant(place) as connect:
                    eventually(lambda connect=connect: answers(connect), 300)  # type: ignore[misc]  # bound at once
                    times["start"][name].append((time.perf_counter() - begin) * 1000)
                    for what, taken in calls(connect, count):
                        times[what][name].append(taken)
    finally:
        exchange.kill()
        exchange.wait()
        shutil.rmtree(directory)
    for what, contestants in times.items():
        for name, taken in contestants.items():
            median = statistics.median(taken)
            ratio = median / statistics.median(contestants["freqtrade alone"])
            say(f"{what:22} {name:16} median {median:8.2f} ms  min {min(taken):8.2f}  n {len(taken):4}  x{ratio:.2f}")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    measure(given[0] if given else 5, given[1] if len(given) > 1 else 100, print)
