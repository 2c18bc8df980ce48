"""docker-compose.yml as users start it, on a real Engine without a network; images are made here, under their names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compose
import pytest

from fixtures.engine import Docker, docker_engine
from fixtures.images import PYTHON, python_image, server_image
from nasos.stack.binaries import find

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = Path(compose.__file__).with_name("docker-compose")
SERVICES = ("vault-prepare", "vault", "vault-init", "docker-view", "companion")
TOKEN = "t" * 40


@dataclass
class Composed:
    """A checkout in which it was started."""

    docker: Docker
    checkout: Path

    def compose(self, *words: str, stdin: str | None = None, check: bool = True) -> str:
        """One command of docker compose."""
        environment = {
            **self.docker.environment, "VAULT_IMAGE": "openbao/openbao:2.7.2", "PIP_ARGS": "--no-index",
            "DOCKER_SOCKET": str(self.docker.socket), "DOCKER_GID": str(self.docker.socket.stat().st_gid),
            "CLOUDFLARE_ZONE_ID": "0" * 32, "COMPOSE_BAKE": "false",
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


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """`docker compose up`, in a copy of what the repository holds."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in ("docker-compose.yml", ".dockerignore"):
        shutil.copy(ROOT / name, checkout)
    for name in ("deploy", "config", "src/nasos"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__", "wheelhouse"))
    (checkout / "nasos.toml").write_text(
        '[cloudflare]\nowner = "home"\ntarget = ["203.0.113.7"]\napi = "http://127.0.0.1:9"\n'
    )
    os.chmod(checkout / "nasos.toml", 0o644)  # noqa: PTH101  no secret is in it
    subprocess.run(
        [PYTHON, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "--only-binary=:all:", "-r", "deploy/requirements.txt", "-d", "deploy/wheelhouse"],
        cwd=checkout, check=True,
    )  # fmt: skip
    with docker_engine(bridge=True) as docker:
        python_image(docker, "python:3.13-slim")
        server_image(docker, "openbao/openbao:2.7.2", find("bao"))
        made = Composed(docker, checkout)
        made.compose("build")
        made.compose("up", "-d", "--no-build", "--wait", "--wait-timeout", "600", "docker-view", "vault-init")
        yield made
        made.compose("down", "--volumes", "--timeout", "2", check=False)


def test_the_companion_has_its_token_from_vault_and_sees_containers(composed: Composed) -> None:
    """Stored once, read by its own role. What stands for Cloudflare refuses connections, and that is what it says."""
    words = (
        "run",
        "--rm",
        "-T",
        "--no-deps",
        "vault-init",
        "python3 -m nasos secret set cloudflare/companion --field token",
    )
    composed.compose(*words, stdin=TOKEN)
    composed.compose("up", "-d", "--no-build", "companion")
    show = "print(open('/made/state/run/companion/state.json').read())"
    deadline = time.monotonic() + 300
    while b"Cloudflare cannot be reached" not in (state := composed.inside("companion", show)).stdout:
        assert time.monotonic() < deadline, state.stdout + state.stderr + composed.compose("logs", "companion").encode()
        time.sleep(0.5)
    health = composed.docker.docker(
        "exec", "nasos-companion-1", "python3", "-m", "nasos", "cloudflare", "companion", "--health", check=False
    )
    assert (health.returncode, b"Cloudflare cannot be reached" in health.stderr) == (3, True)
    everything = composed.docker.docker("inspect", *composed.docker.containers()).stdout
    assert TOKEN.encode() not in everything + composed.compose("logs", "--no-color").encode() + state.stdout


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
    assert composed.inside("companion", "open('/opt/nasos/nasos/x.py', 'w')").stderr.endswith(
        b"/opt/nasos/nasos/x.py'\n"
    )


def test_the_view_of_docker_shows_labels_of_ours_and_refuses_everything_else(composed: Composed) -> None:
    """Who has it can neither make a container nor read another's environment."""
    composed.docker.docker(
        "run", "-d", "--network=none", "--name", "bot", "--label", "cloudflare.subdomain=bot", "--label", "secret=yes",
        "--env", "PASSWORD=hunter2", "nasos-test:busybox", "sleep", "1000",
    )  # fmt: skip
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
