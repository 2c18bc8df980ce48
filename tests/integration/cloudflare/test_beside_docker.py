"""The companion, as it is typed, beside a real Docker Engine; Cloudflare is simulated, over a real connection."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.engine import Docker, docker_engine
from nasos.cloudflare.engine import Engine
from nasos.cloudflare.stop import Stop
from nasos.errors import ContainersUnknown
from simulators.cloudflare import Cloudflare, Zone
from simulators.cloudflare_server import serving

TOKEN = "t" * 40


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """An Engine for this file."""
    with docker_engine() as engine:
        yield engine


@dataclass
class Running:
    """A companion in a process of its own."""

    docker: Docker
    simulated: Cloudflare
    zone: Zone
    here: Path
    origin: str
    process: subprocess.Popen[str] | None = None

    def start(self, grace: int = 3) -> None:
        """Start it."""
        (self.here / "nasos.toml").write_text(
            f'[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\ngrace = {grace}\napi = "{self.origin}"\n'
        )
        environment = {"PATH": "/usr/bin:/bin", "NASOS_HOME": str(self.here / "home"), "NASOS_PROJECT": str(self.here)}
        with (self.here / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nasos", "cloudflare", "companion", "--containers",
                 f"unix://{self.docker.socket}"],
                cwd=self.here, env=environment, stdout=log, stderr=log, text=True,
            )  # fmt: skip

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def names(self) -> set[str]:
        """That it made."""
        records = list(self.zone.records.values())
        return {each["name"].partition(".")[0] for each in records if (each["comment"] or "").startswith("nasos:")}

    def becomes(self, *names: str) -> None:
        """Wait until these are there, and no others."""
        self.until(lambda: self.names == set(names))

    def until(self, seen: Callable[[], bool]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + 240
        while not seen():
            assert time.monotonic() < deadline, (self.names, (self.here / "log").read_text()[-2000:])
            time.sleep(0.05)

    def well(self) -> bool:
        """Whether it says so."""
        environment = {"PATH": "/usr/bin:/bin", "NASOS_HOME": str(self.here / "home"), "NASOS_PROJECT": str(self.here)}
        words = [sys.executable, "-m", "nasos", "cloudflare", "companion", "--health"]
        return subprocess.run(words, cwd=self.here, env=environment, check=False, capture_output=True).returncode == 0


@pytest.fixture
def running(docker: Docker, tmp_path: Path) -> Iterator[Running]:
    """Ready to start; somebody else's record is there before and after."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    foreign = dict(simulated.add(zone, "A", "www", "192.0.2.1", comment="by hand"))
    (tmp_path / ".env").write_text(f"CLOUDFLARE_API_TOKEN={TOKEN}\nCLOUDFLARE_ZONE_ID={zone.id}\n")
    (tmp_path / ".env").chmod(0o600)
    with serving(simulated) as origin:
        docker.run("unlabelled")
        running = Running(docker, simulated, zone, tmp_path, origin)
        try:
            yield running
        finally:
            if running.process:
                running.end(signal.SIGKILL)
            docker.docker("container", "rm", "-f", *docker.containers())
    assert zone.records[foreign["id"]] == foreign
    assert TOKEN not in (tmp_path / "log").read_text()


def test_a_container_is_followed_through_its_life(running: Running, docker: Docker) -> None:
    """Start, kill, restart, stop, rename, removal: a name is made at once, and goes after its grace."""
    running.start(grace=12)
    docker.run("bot", subdomain="bot")
    running.becomes("bot")
    docker.run("web", subdomain="www2,api", proxied="false")
    running.becomes("bot", "www2", "api")
    docker.docker("restart", "-t", "0", "bot")
    docker.docker("rename", "bot", "robot")
    running.until(lambda: any(each["comment"] == "nasos:home robot" for each in running.zone.records.values()))
    assert not any(b"deletes" in body for body in running.simulated.bodies), "a restart loses no name"
    docker.docker("kill", "web")
    docker.docker("stop", "-t", "0", "robot")
    docker.docker("rm", "robot")
    running.becomes()
    docker.docker("start", "web")
    running.becomes("www2", "api")
    assert running.end() == 0


def test_an_engine_that_is_killed_takes_no_record_with_it(running: Running, docker: Docker) -> None:
    """`kill -9` of dockerd, then none for longer than the grace: everything stays, and goes on when it is back."""
    running.start()
    docker.run("bot", subdomain="bot")
    docker.docker("run", "-d", "--restart=always", "--network=none", "--name", "web", "--label",
                  "cloudflare.subdomain=web", "nasos-test:busybox", "sleep", "1000")  # fmt: skip
    running.becomes("bot", "web")
    docker.kill()
    running.until(lambda: not running.well())
    time.sleep(4)  # longer than the grace
    assert running.names == {"bot", "web"}
    docker.start()
    running.becomes("web")
    docker.docker("start", "bot")
    running.becomes("bot", "web")
    running.until(running.well)


def test_a_companion_that_is_killed_goes_on_where_it_was(running: Running, docker: Docker) -> None:
    """Killed after Cloudflare did it and before it knew: nothing is doubled, and what came meanwhile is made."""
    killed: list[int] = []

    def kill() -> None:
        if running.process and any("batch" in line for line in running.simulated.requests) and not killed:
            killed.append(1)
            running.process.kill()

    running.simulated.between = kill
    running.start()
    docker.run("bot", subdomain="bot")
    running.becomes("bot")
    assert running.process
    assert running.process.wait(60) == -signal.SIGKILL
    docker.run("new", subdomain="new")
    running.start()
    running.becomes("bot", "new")
    assert len([line for line in running.simulated.changes if "batch" in line]) == 2


def test_a_burst_is_one_batch(docker: Docker, running: Running) -> None:
    """What starts while the companion cannot look, and what comes close together, is one list and one batch."""
    running.start()
    running.until(running.well)
    assert running.process
    running.process.send_signal(signal.SIGSTOP)
    for number in range(4):
        docker.run(f"c{number}", subdomain=f"c{number}")
    before = len(running.simulated.requests)
    running.process.send_signal(signal.SIGCONT)
    running.becomes("c0", "c1", "c2", "c3")
    asked = [line.split("/")[-1] for line in running.simulated.requests[before:]]
    assert (asked.count("batch"), asked.count("dns_records") <= 2) == (1, True)


def test_an_engine_without_any_container_is_not_believed(docker: Docker) -> None:
    """Also a socket that is none, and one that is not there: each is an error, none is an empty list."""
    docker.docker("container", "rm", "-f", *docker.containers(), "none", check=False)
    engine = Engine(docker.socket)
    with pytest.raises(ContainersUnknown, match="not even a stopped one"):
        engine.look()
    docker.docker("create", "--network=none", "--name", "stopped", "nasos-test:busybox", "sleep", "1")
    assert engine.look() == ()
    with Stop() as stop:
        docker.run("bot", subdomain="bot")
        assert engine.hinted(60, stop)
    assert [(each.name, dict(each.labels)) for each in engine.look()] == [("bot", {"cloudflare.subdomain": "bot"})]
    engine.close()
    for path in (docker.place / "data", docker.place / "nothing"):
        with pytest.raises(ContainersUnknown, match="does not answer"):
            Engine(path).look()
