"""docker-compose.yml as `docker compose config` renders it: what every service has to say of itself, and none may."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import compose
import pytest

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = Path(compose.__file__).with_name("docker-compose")
ONCE = {"vault-prepare", "vault-init"}
"""They end, and others wait for that: their exit code is their health."""
PLACES = {"NASOS_HOME", "VAULT_ADDR", "VAULT_CACERT", "CLOUDFLARE_ZONE_ID", "GOMEMLIMIT"}
"""What an environment may hold: places, an ID that is no secret, and a bound."""
LOOSE = ("privileged", "cap_add", "devices", "pid", "ipc", "userns_mode", "ports", "network_mode: host", "env_file")
"""What no service may have."""
BOUND = 512 << 20


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """With every default, as JSON; no Engine is asked."""
    place = tmp_path_factory.mktemp("rendered")
    (place / "nasos.toml").touch()
    words: list[str | Path] = [
        COMPOSE,
        "--project-directory",
        place,
        "-f",
        ROOT / "docker-compose.yml",
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(words, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(place)})
    return json.loads(done.stdout)


def lacking(name: str, service: Any) -> Iterator[str]:
    """What a service should have said of itself, and what it has too much."""
    wanted = {
        "user": re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")),
        "read_only": service.get("read_only") is True,
        "cap_drop": service.get("cap_drop") == ["ALL"],
        "security_opt": service.get("security_opt") == ["no-new-privileges:true"],
        "pids_limit": 0 < service.get("pids_limit", 0) <= 100,
        "mem_limit": 0 < int(service.get("mem_limit", 0)) <= BOUND,
        "memswap_limit": service.get("memswap_limit") == service.get("mem_limit"),
        "ulimits": service.get("ulimits", {}).get("core") == {},  # how zero is rendered; no core file
        "logging": "max-size" in service.get("logging", {}).get("options", {}),
        "healthcheck": name in ONCE or service.get("healthcheck", {}).get("test"),
        "restart": service.get("restart") == ("no" if name in ONCE else "unless-stopped"),
        "environment": set(service.get("environment") or {}) <= PLACES,
        "tmpfs": all("noexec,nosuid,nodev" in each for each in service.get("tmpfs", [])),
    }
    yield from (key for key, kept in wanted.items() if not kept)
    yield from (each for each in LOOSE if service.get(each.partition(":")[0]) and _is(each, service))


def _is(loose: str, service: Any) -> bool:
    key, _, value = loose.partition(": ")
    return not value or service[key] == value


def test_every_service_says_how_little_it_is_given(rendered: Any) -> None:
    """User, read-only root, no capability, no new privileges, bounds, health; no secret in an environment, no port."""
    services = rendered["services"]
    assert len(services) >= 5
    assert {name: list(lacking(name, service)) for name, service in services.items()} == {name: [] for name in services}


def test_who_has_the_docker_socket_has_no_network(rendered: Any) -> None:
    """And the other way round; Vault's networks lead nowhere, and nobody mounts a directory of the machine to write."""
    sockets = []
    for name, service in rendered["services"].items():
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                assert mount["read_only"], (name, mount)
                sockets += [name] if mount["source"].endswith(".sock") else []
    assert sockets == ["docker-view"]
    assert rendered["services"]["docker-view"]["network_mode"] == "none"
    inside = [network for network, each in rendered["networks"].items() if each.get("internal")]
    assert list(rendered["services"]["vault"]["networks"]) == inside == ["vault"]


BREAKAGES: dict[str, Callable[[Any], object]] = {
    "user": lambda each: each.update(user="0:0"),
    "read_only": lambda each: each.pop("read_only"),
    "cap_drop": lambda each: each.pop("cap_drop"),
    "security_opt": lambda each: each.pop("security_opt"),
    "pids_limit": lambda each: each.pop("pids_limit"),
    "mem_limit": lambda each: each.pop("mem_limit"),
    "healthcheck": lambda each: each.pop("healthcheck"),
    "environment": lambda each: each.update(environment={"VAULT_TOKEN": "a secret"}),
    "cap_add": lambda each: each.update(cap_add=["SYS_ADMIN"]),
    "privileged": lambda each: each.update(privileged=True),
    "ports": lambda each: each.update(ports=[{"target": 8200}]),
    "network_mode: host": lambda each: each.update(network_mode="host"),
}


@pytest.mark.parametrize("what", list(BREAKAGES))
def test_a_service_that_lacks_one_is_found(rendered: Any, what: str) -> None:
    """Each of them taken away, or given too much, is named."""
    service = copy.deepcopy(rendered["services"]["companion"])
    BREAKAGES[what](service)
    assert what in set(lacking("companion", service))
