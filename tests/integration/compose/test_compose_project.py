"""docker-compose.yml as users start it, on a real Engine without a network; images are made here, under their names."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import compose
import pytest

from fixtures.engine import IMAGE, Docker, docker_engine
from fixtures.images import PYTHON, python_image, server_image
from nasos.stack.binaries import find
from nasos.tls import DevCa, ensure_leaf
from simulators.cloudflare import Cloudflare, Token, Zone
from simulators.cloudflare_server import serving

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = Path(compose.__file__).with_name("docker-compose")
STORE = (
    "run", "--rm", "-T", "--no-deps", "vault-init", "python3 -m nasos secret set cloudflare/companion --field token",
)  # fmt: skip
SERVICES = ("vault-prepare", "vault", "vault-init", "docker-view", "companion")
TOKEN = "kT7" * 14
API = "api.cloudflare.com"
BESIDE = f"""\
services:
  companion:
    extra_hosts: ["{API}:172.30.77.1"]
    environment: {{SSL_CERT_FILE: /simulated/ca.pem}}
    volumes: ["./simulated:/simulated:ro"]
networks:
  outside: {{ipam: {{config: [{{subnet: 172.30.77.0/24, gateway: 172.30.77.1}}]}}}}
"""
"""Added to the project: under Cloudflare's own name somebody else answers, not believed without this CA."""


@dataclass
class Composed:
    """A checkout in which it was started."""

    docker: Docker
    checkout: Path
    simulated: Cloudflare
    zone: Zone

    def compose(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """One command of docker compose."""
        environment = {
            **self.docker.environment, "VAULT_IMAGE": "openbao/openbao:2.7.2", "PIP_ARGS": "--no-index",
            "DOCKER_SOCKET": str(self.docker.socket), "DOCKER_GID": str(self.docker.socket.stat().st_gid),
            "CLOUDFLARE_ZONE_ID": self.zone.id, "COMPOSE_BAKE": "false",
        }  # fmt: skip
        done = subprocess.run([COMPOSE, *words], cwd=self.checkout, env=environment, input=stdin, text=True,
                              capture_output=True, check=False, timeout=900)  # fmt: skip
        if check and done.returncode and words[0] != "logs":
            pytest.fail(f"{words}: {done.stderr[-1500:]}\n{self.compose('logs', '--no-color', check=False)[-3000:]}")
        return done.stdout + ("" if check else done.stderr)

    def inspect(self, service: str) -> Any:
        """What the Engine says of a service's container."""
        return json.loads(self.docker.docker("inspect", f"nasos-{service}-1").stdout)[0]

    def inside(self, service: str, script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run a line of Python in a running service's container."""
        words = ["exec", f"nasos-{service}-1", "python3", "-c", script, *arguments]
        return self.docker.docker(*words, check=False)

    def labelled(self, name: str, subdomain: str) -> None:
        """Start somebody's container that asks for a name, and has a secret of its own."""
        self.docker.docker(
            "run", "-d", "--network=none", "--name", name, "--label", f"cloudflare.subdomain={subdomain}",
            "--label", "secret=yes", "--env", "PASSWORD=hunter2", IMAGE, "sleep", "10000",
        )  # fmt: skip

    @property
    def names(self) -> set[str]:
        """That the companion made."""
        records = list(self.zone.records.values())
        return {each["name"].partition(".")[0] for each in records if each["comment"].startswith("nasos:home ")}

    def until(self, seen: Callable[[], bool]) -> None:
        """Wait for it."""
        deadline = time.monotonic() + 300
        while not seen():
            assert time.monotonic() < deadline, (self.names, self.compose("logs", "companion")[-3000:])
            time.sleep(0.2)

    def well(self) -> bool:
        """Whether the companion's own health check is content."""
        words = ["exec", "nasos-companion-1", "python3", "-m", "nasos", "cloudflare", "companion", "--health"]
        return self.docker.docker(*words, check=False).returncode == 0


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """`docker compose up`, in a copy of what the repository holds."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("docker-compose.yml", ".dockerignore"):
        shutil.copy(ROOT / name, checkout)
    for name in ("deploy", "config", "src/nasos"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "wheelhouse"))
    (checkout / "nasos.toml").write_text('[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\ngrace = 3\n')
    (checkout / "docker-compose.override.yml").write_text(BESIDE)
    os.chmod(checkout / "nasos.toml", 0o644)  # noqa: PTH101  no secret is in it
    subprocess.run(
        [PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--only-binary=:all:", "-r", "deploy/requirements.txt", "-d", "deploy/wheelhouse"],
        cwd=checkout, check=True,
    )  # fmt: skip
    simulated = Cloudflare(tokens=[Token(TOKEN)])
    zone = simulated.add_zone("example.com")
    foreign = dict(simulated.add(zone, "A", "www", "192.0.2.1", comment="by hand"))
    with docker_engine(bridge=True) as docker, serving(simulated, docker.listen(443), certified(checkout)):
        python_image(docker, "python:3.13-slim")
        server_image(docker, "openbao/openbao:2.7.2", find("bao"))
        made = Composed(docker, checkout, simulated, zone)
        made.compose("build")
        made.compose("up", "-d", "--no-build", "--wait", "--wait-timeout", "600", "docker-view", "vault-init")
        yield made
        made.compose("down", "--volumes", "--timeout", "2", check=False)
    assert zone.records[foreign["id"]] == foreign


def certified(checkout: Path) -> ssl.SSLContext:
    """Of a server under Cloudflare's name, by a CA that only the companion of this project trusts."""
    place, now = checkout / "simulated", datetime.now(UTC)
    place.mkdir()
    ensure_leaf(DevCa.open(place, now=now, hosts=(API,)), place, "api", (API,), now=now)
    place.chmod(0o755)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "api.pem", place / "api.key")
    return context


def test_a_labelled_container_has_its_name_at_cloudflare(composed: Composed) -> None:
    """The token is stored once; a label is a record, which goes after its grace; who is killed with -9 goes on."""
    composed.compose(*STORE, stdin=TOKEN)
    composed.labelled("shop", "shop")
    composed.compose("up", "-d", "--no-build", "companion")
    composed.until(lambda: composed.names == {"shop"})
    composed.until(composed.well)
    composed.docker.docker("rm", "-f", "shop")
    composed.until(lambda: composed.names == set())
    for service in ("companion", "docker-view"):
        os.kill(composed.inspect(service)["State"]["Pid"], signal.SIGKILL)
    composed.labelled("late", "late")
    composed.until(lambda: composed.names == {"late"})
    for service in ("companion", "docker-view"):
        assert composed.inspect(service)["RestartCount"] == 1, service
    composed.until(composed.well)
    composed.docker.docker("rm", "-f", "late")
    composed.until(lambda: composed.names == set())


def test_the_token_is_in_vault_and_nowhere_else(composed: Composed) -> None:
    """In no file of a volume or a container, no environment, no argument, no log, and nothing that Docker tells."""
    everything = composed.docker.docker("inspect", *composed.docker.containers()).stdout
    assert TOKEN not in everything.decode() + composed.compose("logs", "--no-color")
    data = composed.docker.place / "data"
    files = [each for part in ("volumes", "containers") for each in (data / part).rglob("*") if each.is_file()]
    assert any(each.name == "unseal.key" for each in files), "the volumes are read"
    running = Path(f"/proc/{composed.inspect('companion')['State']['Pid']}")
    for file in (*files, running / "environ", running / "cmdline"):
        with contextlib.suppress(FileNotFoundError):  # a temporary one that was renamed meanwhile
            assert TOKEN.encode() not in file.read_bytes(), file


def test_who_is_not_cloudflare_gets_no_token(composed: Composed) -> None:
    """Without the CA of this test in its trust the companion sends nothing, and says why."""
    ask = (
        "import os; del os.environ['SSL_CERT_FILE']\n"
        "from nasos.cloudflare.client import Client; from nasos.cloudflare.dns import zone_by_name\n"
        "from nasos.secret import Secret\n"
        "zone_by_name(Client(Secret('t' * 40)), 'example.com')"
    )
    before = len(composed.simulated.requests)
    refused = composed.inside("companion", ask)
    assert b"the certificate of Cloudflare's API was refused; nothing was sent" in refused.stderr
    assert len(composed.simulated.requests) == before


def test_every_service_has_as_little_as_it_needs(composed: Composed) -> None:
    """No root, no capability, nothing to write to but volumes; the Docker socket is one's that has no network."""
    for service in SERVICES:
        shown = composed.inspect(service)
        host = shown["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"], host["Privileged"]) == (
            True,
            ["ALL"],
            None,
            False,
        )
        assert (host["SecurityOpt"], shown["Config"]["User"]) == (["no-new-privileges:true"], "10001:10001")
        assert 0 < host["PidsLimit"] <= 100
        assert 0 < host["Memory"] <= 512 << 20
        assert not host["PortBindings"], service
        sockets = [mount["Source"] for mount in shown["Mounts"] if mount["Source"].endswith(".sock")]
        assert bool(sockets) == (service == "docker-view")
        names = {mount.get("Name", "") for mount in shown["Mounts"]}
        assert ("nasos_vault-key" in names) == (service in ("vault-prepare", "vault"))
        assert ("nasos_state" in names) == (service in ("vault-prepare", "vault-init"))
        assert ("nasos_ca" in names) == (service == "vault-prepare")
    for service in ("vault-prepare", "docker-view"):
        assert composed.inspect(service)["HostConfig"]["NetworkMode"] == "none"
    assert set(composed.inspect("vault")["NetworkSettings"]["Networks"]) == {"nasos_vault"}
    [network] = json.loads(composed.docker.docker("network", "inspect", "nasos_vault").stdout)
    assert network["Internal"]
    status = composed.inside("companion", "print(open('/proc/self/status').read())").stdout.decode()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    limits = composed.inside("companion", "print(open('/proc/self/limits').read())").stdout.decode()
    assert ["Max", "core", "file", "size", "0", "0"] in [line.split()[:6] for line in limits.splitlines()]
    assert composed.inside("companion", "open('/opt/nasos/nasos/x.py', 'w')").stderr.endswith(
        b"/opt/nasos/nasos/x.py'\n"
    )


def test_the_view_of_docker_shows_labels_of_ours_and_refuses_everything_else(composed: Composed) -> None:
    """Who has it can neither make a container nor read another's environment."""
    composed.labelled("bot", "bot")
    refused = (
        ("POST", "/containers/create"), ("GET", "/containers/bot/json"), ("GET", "/info"), ("GET", "/images/json"),
        ("POST", "/containers/bot/exec"), ("DELETE", "/containers/bot"), ("GET", "/containers/json?all=1&size=1"),
        ("HEAD", "/containers/json?all=1"),
    )  # fmt: skip
    ask = (
        "import json, sys; from pathlib import Path; from nasos.cloudflare.engine import Local\n"
        "def asked(method, path):\n"
        "    c = Local(Path('/view/docker.sock')); c.request(method, path); a = c.getresponse()\n"
        "    return a.status, a.read().decode()\n"
        "print(json.dumps([asked(*each) for each in json.loads(sys.argv[1])]))"
    )
    words = json.dumps([("GET", "/containers/json?all=1"), *refused])
    [(status, shown), *others] = json.loads(composed.inside("companion", ask, words).stdout)
    listed = {each["Names"][0]: each for each in json.loads(shown)}
    assert (status, listed["/bot"]["Labels"]) == (200, {"cloudflare.subdomain": "bot"})
    assert set(listed["/bot"]) == {"Id", "State", "Names", "Labels"}
    assert {code for code, _ in others} == {403, 501}, others
    composed.docker.docker("rm", "-f", "bot")
