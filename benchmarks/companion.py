"""From a container's start to the request at Cloudflare, p50 and p95, on a real Docker Engine; as root.

    .venv/bin/python benchmarks/companion.py [COUNT]

Two times: from the Engine's own event to the batch's arrival, which is ours, and from the command that starts it all.
The quiet time that gathers a burst (0.25 s) is part of both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.engine import Docker, docker_engine  # noqa: E402  below the path that it is found by
from simulators.cloudflare import Cloudflare, Zone  # noqa: E402  found by the line above
from simulators.cloudflare_server import serving  # noqa: E402  found by the line above


def started_at(docker: Docker, name: str) -> float:
    """When the Engine told that it started, in seconds since 1970."""
    words = ("events", "--since", "10m", "--until", str(int(time.time()) + 1), "--filter", f"container={name}")
    told = docker.docker(*words, "--filter", "event=start", "--format", "{{.TimeNano}}").stdout.split()
    return int(told[0]) / 1e9


def samples(docker: Docker, simulated: Cloudflare, zone: Zone, count: int) -> list[tuple[float, float]]:
    """Seconds from the event, and from the command, to the record."""
    found = []
    for number in range(count):
        name = f"n{number}"
        arrived: list[float] = []

        def seen(name: str = name, arrived: list[float] = arrived) -> None:
            if not arrived and any(each["name"] == f"{name}.example.com" for each in zone.records.values()):
                arrived.append(time.time())

        simulated.between = seen
        before = time.time()
        docker.run(name, subdomain=name)
        while not arrived:
            time.sleep(0.002)
        found.append((arrived[0] - started_at(docker, name), arrived[0] - before))
        docker.docker("rm", "-f", name)
    return found


def main(count: int) -> None:
    """Print both."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com", plan="pro")
    with docker_engine() as docker, serving(simulated) as origin, tempfile.TemporaryDirectory() as place:
        here = Path(place)
        (here / ".env").write_text(f"CLOUDFLARE_API_TOKEN={'t' * 40}\nCLOUDFLARE_ZONE_ID={zone.id}\n")
        (here / ".env").chmod(0o600)
        (here / "nasos.toml").write_text(
            f'[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\ngrace = 86400\napi = "{origin}"\n'
        )
        docker.run("unlabelled")
        process = subprocess.Popen(
            [sys.executable, "-m", "nasos", "cloudflare", "companion", "--containers", f"unix://{docker.socket}"],
            cwd=here, stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "NASOS_HOME": str(here / "home"), "NASOS_PROJECT": place},
        )  # fmt: skip
        try:
            docker.run("first", subdomain="first")
            while not zone.records:
                time.sleep(0.05)
            found = samples(docker, simulated, zone, count)
        finally:
            process.terminate()
            process.wait(30)
    for name, values in zip(("from the event", "from the command"), zip(*found, strict=True), strict=True):
        ordered = sorted(values)
        p95 = ordered[max(0, round(len(ordered) * 0.95) - 1)]
        print(f"{name:17} p50 {statistics.median(ordered):.2f} s, p95 {p95:.2f} s, most {ordered[-1]:.2f} s, n {count}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
