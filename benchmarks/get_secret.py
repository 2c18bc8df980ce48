"""``get_secret`` against hvac, on a real OpenBao with TLS and two audit devices.

Run it from the checkout; it starts and ends a server of its own::

    .venv/bin/python benchmarks/get_secret.py [reads]

Both clients keep their connection, read the same secret and take turns in batches, so that whatever else the machine
does hits both. Goals (ARCHITECTURE.md's design): uncached at least 1.3 times hvac, cached at least 500,000 a second.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hvac

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.vault import Server
from nasos import VaultClient

BATCH = 50
CACHED = 500_000


def timed(read: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each call."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        read()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def main(reads: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        server = Server(Path(directory) / "home", Path(directory) / "key" / "unseal.key")
        server.start()
        try:
            measure(server, reads)
        finally:
            server.stop()


def measure(server: Server, reads: int) -> None:
    """Both clients on one server."""
    server.bootstrap()
    connection = server.connection("app")
    ours = VaultClient(connection)
    ours.store_secret("api_key", "my-secret-api-key")
    theirs = hvac.Client(connection.address, token=ours.session.token().reveal(), verify=str(connection.ca_file))

    def uncached() -> str:
        return ours.read("api_key").fields["value"].reveal()

    def by_hvac() -> str:
        answer = theirs.secrets.kv.v2.read_secret_version(
            "nasos/app/api_key", mount_point="kv", raise_on_deleted_version=True
        )
        value: str = answer["data"]["data"]["value"]
        return value

    assert uncached() == by_hvac() == ours.get_secret("api_key")
    timed(uncached, BATCH)
    timed(by_hvac, BATCH)
    mine: list[float] = []
    other: list[float] = []
    for _ in range(max(1, reads // BATCH)):
        mine += timed(uncached, BATCH)
        other += timed(by_hvac, BATCH)
    ratio = statistics.median(other) / statistics.median(mine)
    print(f"uncached  n={len(mine)}  nasos {statistics.median(mine):.2f} ms  hvac {statistics.median(other):.2f} ms")
    print(f"          hvac / nasos = {ratio:.2f} (goal: 1.3)")
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(CACHED // 5):
            ours.get_secret("api_key")
        rates.append(CACHED / 5 / (time.perf_counter() - started))
    print(f"cached    n={CACHED}  {statistics.median(rates):,.0f} a second (goal: 500,000)")
    ours.close()
    theirs.adapter.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
