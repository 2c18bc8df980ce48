"""What a look at a zone costs, and a change of a hundred names: time, memory, requests; start-up beside the SDK's.

    .venv/bin/python benchmarks/cloudflare_records.py

Cloudflare is the tests' simulator, without a socket: what is measured is ours, reading JSON, planning, encoding. The
network's time comes on top, once per request.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.cloudflare import direct  # noqa: E402  below the path that it is found by
from nasos.cloudflare.answers import Record  # noqa: E402  found by the line above
from nasos.cloudflare.apply import converge  # noqa: E402  found by the line above
from nasos.cloudflare.dns import zone_by_id  # noqa: E402  found by the line above
from nasos.cloudflare.labels import Container, Rules, desired  # noqa: E402  found by the line above
from nasos.cloudflare.ownership import Owner  # noqa: E402  found by the line above
from nasos.cloudflare.plan import Plan, Terms, plan  # noqa: E402  found by the line above
from simulators.cloudflare import WHEN, Cloudflare, Zone  # noqa: E402  found by the line above

NOW = datetime(2026, 11, 23, tzinfo=UTC)
RULES = Rules(("example.com",), ("203.0.113.7",), ("203.0.113.8",))


def zone_of(simulated: Cloudflare, count: int) -> Zone:
    """So many records of ours; made at once, the simulator would look for twins for minutes."""
    zone = simulated.add_zone("example.com", plan="enterprise")
    for number in range(count):
        known = f"{next(simulated.ids):032x}"
        zone.records[known] = {
            "id": known, "name": f"n{number}.example.com", "type": "A", "content": "203.0.113.7", "proxiable": True,
            "proxied": True, "ttl": 1, "settings": {}, "meta": {}, "comment": f"nasos:home n{number}", "tags": [],
            "created_on": WHEN, "modified_on": WHEN,
        }  # fmt: skip
    return zone


def round_of(count: int, changed: int) -> tuple[float, int]:
    """Seconds and requests of one reconcile in which so many names lead elsewhere."""
    simulated = Cloudflare()
    zone = zone_of(simulated, count)
    client = direct(simulated)
    found = zone_by_id(client, zone.id)
    containers = [
        Container(f"n{number}", {"cloudflare.subdomain": f"n{number}"} | (
            {"cloudflare.target": "203.0.113.8"} if number < changed else {}
        ))
        for number in range(count)
    ]  # fmt: skip

    def planned(records: Sequence[Record]) -> Plan:
        return plan(records, desired(containers, RULES).wanted, Terms(Owner("home"), grace=timedelta()), NOW, {})

    simulated.requests.clear()
    start = time.perf_counter()
    converge(client, found, Owner("home"), planned)
    return time.perf_counter() - start, len(simulated.requests)


def start_up(statement: str) -> float:
    """Seconds of CPU that a fresh interpreter needs for it."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", statement], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    print("records  changed  seconds  requests  peak MB")
    for count in (10, 1000, 10_000):
        for changed in (0, min(count, 100)):
            seconds, requests = round_of(count, changed)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{count:7}  {changed:7}  {seconds:7.3f}  {requests:8}  {peak:7.0f}")
    nothing = start_up("pass")
    ours, theirs = start_up("import nasos.cloudflare.apply"), start_up("import cloudflare; cloudflare.Cloudflare")
    print(f"import: ours {ours - nothing:.2f} s of CPU, the SDK {theirs - nothing:.2f} s")


if __name__ == "__main__":
    main()
