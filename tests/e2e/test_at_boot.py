"""`nasos up --at-boot` under a real systemd, the first process of a machine of its own; only root can make one."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.stack import PROJECT, free_base_port, until
from fixtures.systemd import Machine


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Its state lies where each service's own user can go, and where PrivateTmp= hides nothing."""
    place = Path(tempfile.mkdtemp(prefix="nasos-boot-", dir="/srv"))
    place.chmod(0o755)
    paths = {"HOME": place, "NASOS_HOME": place / "home", "NASOS_KEY_DIR": place / "key", "NASOS_PROJECT": PROJECT}
    made = Machine(place, {name: str(path) for name, path in paths.items()})
    try:
        yield made
    finally:
        made.cut_power()
        shutil.rmtree(place)


if os.geteuid() == 0:

    def test_after_a_power_cut_systemd_starts_the_stack_and_stops_it(machine: Machine) -> None:
        """Installed by the command, hardened as the unit says, healthy at the next boot, and stopped without a rest."""
        nasos = (sys.executable, "-m", "nasos")
        machine.boot()
        done = machine.run(*nasos, "up", "--at-boot", "--port", str(free_base_port()))
        assert done.returncode == 0, done.stderr
        [unit] = [path.name for path in machine.units.glob("nasos-*.service")]
        assert machine.systemctl("is-enabled", unit).stdout == "enabled\n"
        assert machine.systemctl("is-active", unit).stdout == "inactive\n"
        machine.cut_power()

        machine.boot()
        until(lambda: machine.systemctl("is-active", unit).stdout.strip() in ("active", "failed"), 300)
        assert machine.systemctl("show", "-P", "Result", unit).stdout == "success\n"
        status = json.loads(machine.run(*nasos, "status", "--json").stdout)
        assert {each["name"]: each["state"] for each in status["programs"]}.keys() >= {"vault", "postgres", "bot"}
        until(lambda: json.loads(machine.run(*nasos, "status", "--json").stdout)["healthy"], 120)
        supervisor = next(line for line in machine.processes() if "supervisord" in line).split()[0]
        # NoNewPrivs and the capabilities that the unit leaves: neither CAP_SYS_ADMIN (21) nor CAP_SYS_MODULE (16).
        facts = dict(
            line.split(":\t", 1) for line in machine.run("cat", f"/proc/{supervisor}/status").stdout.splitlines()
        )
        assert facts["NoNewPrivs"] == "1"
        assert int(facts["CapBnd"], 16) & (1 << 21 | 1 << 16) == 0

        stopped = machine.systemctl("stop", unit)
        assert (stopped.returncode, machine.systemctl("is-active", unit).stdout) == (0, "inactive\n"), stopped.stderr
        assert machine.processes() == []
