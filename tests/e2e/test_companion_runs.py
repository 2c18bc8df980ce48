"""The companion as a program of the stack: as root under its own user, as an ordinary user under his; both confined."""

from __future__ import annotations

import json
import os
import pwd
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.stack import Walk
from nasos.bot.sandbox import supported
from nasos.files import atomic_write
from simulators.cloudflare import Cloudflare, Token, Zone
from simulators.cloudflare_server import serving

TOKEN = "wC5" * 14


@dataclass
class Town:
    """A stack that follows a compose file, and the zone that it writes to."""

    walk: Walk
    zone: Zone
    compose: Path

    def services(self, *names: str) -> None:
        """Write the file as editors do: another one takes its place."""
        services = {name: {"labels": {"cloudflare.subdomain": name}} for name in names}
        atomic_write(self.compose, json.dumps({"services": services}).encode(), 0o644)

    def becomes(self, *names: str) -> None:
        """Wait until these are there."""
        wanted = {f"{name}.example.com" for name in names}
        self.walk.until(lambda: {each["name"] for each in list(self.zone.records.values())} == wanted, 120)

    @property
    def shown(self) -> dict[str, str]:
        """What `status` says of it."""
        found = [each for each in self.walk.json("status")["programs"] if each["name"] == "companion"]
        return dict(found[0]) if found else {}


@pytest.fixture(scope="module")
def town(stack: Walk) -> Iterator[Town]:
    """`[cloudflare] containers` in nasos.toml, the token in Vault, then `up`; both are taken away again."""
    simulated = Cloudflare(tokens=[Token(TOKEN)])
    zone, document = simulated.add_zone("example.com"), stack.project / "nasos.toml"
    before = document.read_text() if document.exists() else None
    with serving(simulated) as origin:
        town = Town(stack, zone, stack.project / "labels.yml")
        town.services("bot")
        document.write_text(
            (before or "") + '\n[cloudflare]\nowner = "walk"\nzones = ["example.com"]\ntarget = ["203.0.113.7"]\n'
            f'grace = 1\ncontainers = "labels.yml"\napi = "{origin}"\n'
        )
        stack.nasos("secret", "set", "cloudflare/companion", "--field", "token", stdin=TOKEN)
        try:
            stack.nasos("up")
            yield town
        finally:
            document.unlink() if before is None else document.write_text(before)
            town.compose.unlink()
            stack.nasos("secret", "rm", "cloudflare/companion")
            stack.nasos("up")


def test_a_label_becomes_a_record_and_status_shows_it(town: Town) -> None:
    """With the token from Vault, read by its own role; it runs as who it should, and the kernel confines it."""
    town.becomes("bot")
    town.walk.until(lambda: town.shown["evidence"] == "1 records wanted in example.com")
    state = json.loads((town.walk.home / "run" / "companion" / "state.json").read_text())
    assert bool(state["confined"]) == bool(supported())
    pid = town.walk.pid("companion")
    owner = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
    assert owner == (town.walk.user or ("nasos-companion" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name))
    for name in ("cmdline", "environ"):
        assert TOKEN.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


def test_killed_it_comes_back_and_goes_on(town: Town) -> None:
    """`kill -9` while the file is replaced: what came is made, what went is removed after its grace."""
    before = town.walk.pid("companion")
    assert before
    os.kill(before, signal.SIGKILL)
    town.services("web")
    town.becomes("web")
    assert town.walk.until(lambda: town.walk.pid("companion")) != before
    town.walk.until(lambda: town.shown["evidence"] == "1 records wanted in example.com")


def test_stopped_it_leaves_nobody_behind(town: Town) -> None:
    """Neither it nor the process that opens files for it; started again it goes on."""
    pid = town.walk.pid("companion")
    assert pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert len(children) == 1
    town.walk.nasos("restart", "companion")
    town.walk.until(lambda: not any(Path(f"/proc/{each}").exists() for each in (pid, *children)))
    town.services("last")
    town.becomes("last")
