"""`nasos up --at-boot` and `rotate install-timer` under a real systemd, the first process of a machine of its own.

Only root can make one.
"""

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

NASOS = (sys.executable, "-m", "nasos")
SETTINGS = """
[rotation.schedule]
"bots/nasos/db" = { every = "1m", window = "any", jitter = "0m" }
"""
SOON = "[Timer]\nOnCalendar=*:*:0/5\nRandomizedDelaySec=0\nAccuracySec=1\n"
"""Every five seconds, too: a test does not wait for a quarter of an hour."""


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

    def rotated_by_the_timer(machine: Machine) -> None:
        """The installed timer elapses and its service rotates what is due, hardened as it is; taken away it is gone."""
        settings = machine.place / "settings"  # of the timer alone: the checkout is everybody's
        settings.mkdir()
        (settings / "nasos.toml").write_text(SETTINGS)
        done = machine.run("env", f"NASOS_PROJECT={settings}", *NASOS, "rotate", "install-timer")
        assert done.returncode == 0, done.stderr
        [timer] = machine.units.glob("nasos-*.timer")
        assert machine.systemctl("is-enabled", timer.name).stdout == "enabled\n"
        drop_in = machine.units / f"{timer.name}.d"
        drop_in.mkdir()
        (drop_in / "soon.conf").write_text(SOON)
        machine.systemctl("daemon-reload")
        machine.systemctl("restart", timer.name)

        def rotated() -> bool:
            past = json.loads(machine.run(*NASOS, "rotate", "history", "--json").stdout)
            return any((row["name"], row["outcome"]) == ("bots/nasos/db", "rotated") for row in past)

        until(rotated, 180)
        machine.systemctl("stop", timer.name)
        service = timer.with_suffix(".service")
        until(lambda: machine.systemctl("is-active", service.name).stdout in {"inactive\n", "failed\n"}, 120)
        assert machine.systemctl("show", "-P", "Result", service.name).stdout == "success\n"
        assert machine.run(*NASOS, "rotate", "install-timer", "--remove").returncode == 0
        shutil.rmtree(drop_in)
        assert not timer.exists()
        assert not service.exists()

    def test_after_a_power_cut_systemd_starts_the_stack_rotates_and_stops_it(machine: Machine) -> None:
        """Installed by the command, hardened as the units say, healthy at the next boot, and stopped without a rest."""
        machine.boot()
        done = machine.run(*NASOS, "up", "--at-boot", "--port", str(free_base_port()))
        assert done.returncode == 0, done.stderr
        [unit] = [path.name for path in machine.units.glob("nasos-*.service")]
        assert machine.systemctl("is-enabled", unit).stdout == "enabled\n"
        assert machine.systemctl("is-active", unit).stdout == "inactive\n"
        machine.cut_power()

        machine.boot()
        until(lambda: machine.systemctl("is-active", unit).stdout.strip() in ("active", "failed"), 300)
        assert machine.systemctl("show", "-P", "Result", unit).stdout == "success\n"
        status = json.loads(machine.run(*NASOS, "status", "--json").stdout)
        assert {each["name"]: each["state"] for each in status["programs"]}.keys() >= {"vault", "postgres", "bot"}
        until(lambda: json.loads(machine.run(*NASOS, "status", "--json").stdout)["healthy"], 120)
        supervisor = next(line for line in machine.processes() if "supervisord" in line).split()[0]
        # NoNewPrivs and the capabilities that the unit leaves: neither CAP_SYS_ADMIN (21) nor CAP_SYS_MODULE (16).
        facts = dict(
            line.split(":\t", 1) for line in machine.run("cat", f"/proc/{supervisor}/status").stdout.splitlines()
        )
        assert facts["NoNewPrivs"] == "1"
        assert int(facts["CapBnd"], 16) & (1 << 21 | 1 << 16) == 0

        rotated_by_the_timer(machine)
        stopped = machine.systemctl("stop", unit)
        assert (stopped.returncode, machine.systemctl("is-active", unit).stdout) == (0, "inactive\n"), stopped.stderr
        assert machine.processes() == []
