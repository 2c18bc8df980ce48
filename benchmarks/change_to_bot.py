"""From a write of the bot's database login to the moment that the bot has it. Real OpenBao, PostgreSQL, launchers.

``.venv/bin/python benchmarks/change_to_bot.py [n]`` prints median and p99 of three: a launcher whose writer pokes it,
one that only polls (2 s), and ``bao agent`` that renders a file (``static_secret_render_interval`` 1 s). All three run
at the same time on the same server. The clock starts before the write is sent, so that Vault's own work is in each
figure; it ends when a process in the bot's place, which looks once in a millisecond, sees the new version. Goal: 50 ms
with a poke.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.postgres import Process, server_below  # noqa: E402  the tests' own servers, found by the line above
from fixtures.vault import Server  # noqa: E402  found by the line above
from nasos.bot.poke import poking  # noqa: E402  found by the line above
from nasos.secret import Secret  # noqa: E402  found by the line above
from nasos.settings import Token, VaultConnection  # noqa: E402  found by the line above
from nasos.stack import postgres as pg  # noqa: E402  found by the line above
from nasos.stack.binaries import find  # noqa: E402  found by the line above
from nasos.vault import VaultClient  # noqa: E402  found by the line above

BOTS = {"nasos": "nasos, poked", "other": "nasos, polling"}
AGENT = "bao agent"
LONGEST = 20.0  # seconds: nobody takes that long

BOT = """
import json, os, socket, sys, time
from urllib.parse import parse_qs, urlsplit
from nasos.bot.credential import read
from nasos.bot.orders import Done, Line, Load
orders = int(sys.argv[sys.argv.index("nasos.bot.entry") + 2])
line = Line(socket.socket(fileno=orders), lambda _: Done())
line.start()
url = json.loads(line.ask(Load(), 30).json.reveal())["db_url"]
page = int(parse_qs(urlsplit(url).query)["credfd"][0])
seen = 0
while True:
    version = read(page, 60).version
    if version != seen:
        seen = version
        os.write(1, f"{version} {time.time_ns()}\\n".encode())
    time.sleep(0.001)
"""


@dataclass
class Seen:
    """When one contestant saw which version."""

    log: Path
    times: list[float] = field(default_factory=list)

    def wait(self, version: int, begin: int) -> None:
        """Until it has seen ``version``; milliseconds since ``begin``."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            lines = [line.split() for line in self.log.read_text().splitlines() if line.count(" ") == 1]
            if found := [int(when) for number, when in lines if number == str(version)]:
                self.times.append((found[0] - begin) / 1e6)
                return
            time.sleep(0.005)
        raise SystemExit(f"version {version} never came: {self.log.read_text()[-2000:]}")


@contextlib.contextmanager
def servers(place: Path) -> Iterator[tuple[Server, pg.Server, VaultClient]]:
    """A bootstrapped Vault, a cluster with both bots' databases, and a writer; their logins are in Vault."""
    vault = Server(place / "home", place / "key" / "unseal.key")
    vault.start()
    (place / "database").mkdir()
    database = server_below(place / "database")
    process = Process(database, place / "postgres.log")
    try:
        root = Token(vault.bootstrap_keeping_root())
        with VaultClient(VaultConnection(vault.address, vault.ca_file, root), prefix="nasos") as client:
            admin = pg.admin_login(client)
            pg.initialize(database, admin)
            pg.configure(database, place / "database" / "tls")
            process.start(admin)
            for bot in BOTS:
                pg.provision(database, admin, bot, pg.bot_login(client, bot))
            yield vault, database, client
    finally:
        process.kill()
        vault.stop()


def launcher(place: Path, vault: Server, database: pg.Server, bot: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a launcher whose "bot" tells when it sees a new version."""
    directory = place / bot
    directory.mkdir()
    (directory / "python").write_text(f"#!{sys.executable} -I\n{BOT}")
    (directory / "python").chmod(0o755)
    (directory / "nasos.toml").write_text(f'[bot]\npython = "{directory}/python"\n')
    url = f"postgresql+psycopg://127.0.0.1:{database.port}/{bot}?sslmode=verify-full&sslrootcert={database.ca_file}"
    (directory / "base.json").write_text(json.dumps({"db_url": url}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "NASOS_HOME": str(vault.home),
        "NASOS_PROJECT": str(directory),
        "VAULT_ADDR": vault.address,
        "VAULT_CACERT": str(vault.ca_file),
    }
    line = ["freqtrade", "trade", "-c", str(directory / "base.json")]
    return [str(Path(sys.executable).parent / "nasos"), "run", "--bot", bot, "--", *line], environment


def agent(place: Path, vault: Server) -> tuple[list[str], dict[str, str]]:
    """``bao agent`` that renders the version into a file; a watcher beside it looks as often as the bots do."""
    held = json.loads((vault.files.credentials / "bot-nasos.json").read_text())
    for name in ("role_id", "secret_id"):
        (place / name).write_text(held[name])
        (place / name).chmod(0o600)
    template = '{{ with secret "kv/data/nasos/bots/nasos/db" }}{{ .Data.metadata.version }}{{ end }}'
    (place / "agent.hcl").write_text(f"""
vault {{ address = "{vault.address}"  ca_cert = "{vault.ca_file}" }}
auto_auth {{
  method "approle" {{
    config = {{
      role_id_file_path = "{place}/role_id"
      secret_id_file_path = "{place}/secret_id"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
template_config {{ static_secret_render_interval = "1s" }}
template {{ contents = {json.dumps(template)}  destination = "{place}/rendered" }}
""")
    watch = f"""
import os, subprocess, sys, time
child = subprocess.Popen({[str(find("bao")), "agent", f"-config={place}/agent.hcl"]!r}, stdout=2)
import signal
signal.signal(signal.SIGTERM, lambda *_: (child.terminate(), child.wait(), sys.exit(0)))
seen = ""
while True:
    try:
        version = open("{place}/rendered").read()
    except OSError:
        version = ""
    if version and version != seen:
        seen = version
        os.write(1, f"{{version}} {{time.time_ns()}}\\n".encode())
    time.sleep(0.001)
"""
    return [sys.executable, "-c", watch], {"PATH": os.environ["PATH"], "HOME": str(place)}


def measure(rounds: int) -> None:
    """Write again and again, and see who has it when."""
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        with servers(place) as (vault, database, client), contextlib.ExitStack() as running:
            commands = {name: launcher(place, vault, database, bot) for bot, name in BOTS.items()}
            commands[AGENT] = agent(place, vault)
            seen = {name: Seen(place / f"{name}.log") for name in commands}
            for name, (command, environment) in commands.items():
                log = running.enter_context(seen[name].log.open("wb"))
                errors = running.enter_context((place / f"{name}.err").open("wb"))
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=errors)
                running.callback(process.wait, 30)
                running.callback(process.send_signal, signal.SIGTERM)
            tell = poking(vault.home / "run" / "bot")
            poked = running.enter_context(VaultClient(vault.connection("operator"), prefix="nasos", on_event=tell))
            logins = {bot: dict(client.read(f"bots/{bot}/db").fields) for bot in BOTS}
            for number in range(rounds + 1):
                race(seen, {"nasos": poked, "other": client}, logins, number)
                if not number:
                    for one in seen.values():
                        one.times.clear()
                # At most one poke in two seconds is followed for long, and no writer keeps step with a poll.
                time.sleep(random.uniform(2.0, 3.0))  # noqa: S311  no cryptography
            for name, one in seen.items():
                ordered = sorted(one.times)
                p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
                print(f"{name:15} p50 {statistics.median(ordered):7.1f} ms  p99 {p99:7.1f}  n {len(ordered)}")


def race(
    seen: dict[str, Seen], writers: dict[str, VaultClient], logins: dict[str, dict[str, Secret]], number: int
) -> None:
    """One change for each launcher; the agent watches the first one's."""
    for bot, name in BOTS.items():
        begin = time.time_ns()
        version = writers[bot].write(f"bots/{bot}/db", {**logins[bot], "number": Secret(str(number))})
        seen[name].wait(version, begin)
        if bot == "nasos":
            seen[AGENT].wait(version, begin)


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
