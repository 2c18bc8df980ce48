"""What a reload of nginx costs those who ask meanwhile: latency and failures, beside the same without a reload.

    .venv/bin/python benchmarks/reload.py [--seconds 10] [--every 0.5] [--rounds 3]

The stack's own nginx configuration, certificates and page; two clients in threads, each request on a new connection
with a full TLS 1.3 handshake, or (``kept``) a hundred on each connection. Quiet and reloaded rounds take turns, so that
what else the machine does meets both. A reload is a SIGHUP, as a renewed certificate causes one. ``lost``: a kept
connection that the old worker closed just when the next request was under way; a client that may repeat does so.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fixtures.edge import BINARIES, Edge, edge_config, running
from nasos.tls import issue_all
from simulators.bot_api import BotApi

CLIENTS = 2
KEPT = 100


@dataclass
class Seen:
    """What the clients of one kind saw."""

    taken: list[float] = field(default_factory=list)
    lost: int = 0
    failed: int = 0

    def line(self, name: str, seconds: float) -> str:
        """For the table."""
        ordered = sorted(self.taken)
        p50, p99, most = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1]
        return (
            f"{name:22} {len(ordered) / seconds:10,.0f} {p50 * 1e3:8.2f} {p99 * 1e3:8.2f} {most * 1e3:8.1f}"
            f" {self.lost:6} {self.failed:6}"
        )


def client(edge: Edge, kept: int, until: float, seen: Seen) -> None:
    """Ask for the status page until the time is over."""
    context = edge.context()
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            with edge.connect(context=context) as secure:
                line = http.client.HTTPConnection("localhost", edge.port)  # over what is secure already
                line.sock = secure
                for asked in range(kept):
                    begun = begun if asked == 0 else time.monotonic()
                    try:
                        line.request("GET", "/healthz")
                        status = line.getresponse()
                        status.read()
                    except (OSError, http.client.HTTPException):
                        if asked == 0:
                            raise
                        seen.lost += 1
                        break
                    seen.failed += status.status != 204
                    seen.taken.append(time.monotonic() - begun)
                    if status.will_close or time.monotonic() >= until:  # a worker that goes says so
                        break
        except (OSError, http.client.HTTPException):
            seen.failed += 1


def measure(edge: Edge, kept: int, seconds: float, every: float | None, seen: Seen) -> int:
    """One round; how many reloads."""
    until, reloads = time.monotonic() + seconds, 0
    threads = [threading.Thread(target=client, args=(edge, kept, until, seen)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while every and time.monotonic() < until - every:
        time.sleep(every)
        os.kill(edge.pid, signal.SIGHUP)
        reloads += 1
    for thread in threads:
        thread.join()
    return reloads


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory:
        tls, place = Path(directory, "tls"), Path(directory, "nginx")
        for made in (tls, place):
            made.mkdir(mode=0o700)
        issue_all(tls, ["localhost"], now=datetime.now(UTC))
        with BotApi(tls) as bot:
            config, binary = edge_config(tls, place, bot.port), BINARIES["wheel"]()
            with running(binary, config) as pid:
                run(Edge(config, binary, bot, tls / "ca.pem", pid), options)


def run(edge: Edge, options: argparse.Namespace) -> None:
    """All cases, in turn."""
    cases = [(kind, kept, every) for kind, kept in (("new", 1), ("kept", KEPT)) for every in (None, options.every)]
    seen = {case: Seen() for case in cases}
    reloads = 0
    for _ in range(options.rounds):
        for case in cases:
            reloads += measure(edge, case[1], options.seconds, case[2], seen[case])
    print(f"{'connections':22} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'lost':>6} {'failed':>6}")
    for (kind, _, every), what in seen.items():
        name = f"{kind}, reloaded" if every else f"{kind}, quiet"
        print(what.line(name, options.seconds * options.rounds))
    print(f"{reloads} reloads, one each {options.every} s")


if __name__ == "__main__":
    main()
