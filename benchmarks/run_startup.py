"""From exec of the launcher to the exec of its program: login, eight records, hand-over. Real OpenBao, TLS, audit on.

``.venv/bin/python benchmarks/run_startup.py [n]`` prints medians and ratios of ``nasos run``, ``bao agent`` in its
process supervisor mode, and a one-shot script with hvac; the contestants take turns, so that a busy machine is busy
for all of them. Goal (design): ``nasos run`` within 120 ms. Compiled bytecode is assumed, as after any first run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests"))

from fixtures.vault import Server  # noqa: E402  the tests' own server, found by the line above
from nasos.secret import Secret  # noqa: E402  found by the line above
from nasos.settings import Token, VaultConnection  # noqa: E402  found by the line above
from nasos.stack.binaries import find  # noqa: E402  found by the line above
from nasos.vault import VaultClient  # noqa: E402  found by the line above

RECORDS = {
    "api": {"username": "nasos", "password": "p" * 43, "ws_token": "w" * 43},
    "jwt": {"jwt_secret_key": "j" * 43},
    "coingecko": {"api_key": "c" * 40},
    "db": {"username": "nasos_a", "password": "d" * 43, "role": "a"},
    "discord": {"webhook_url": "https://127.0.0.1/" + "d" * 40},
    "exchange": {"api_key": "k" * 64, "secret": "s" * 64},
    "notes": {"value": "n" * 40},
    "telegram": {"token": "t" * 46, "chat_id": "123456789"},
    "webhook": {"url": "https://127.0.0.1/" + "w" * 40},
}

HVAC = """
import json, os, sys, hvac
held = json.load(open(sys.argv[2]))
client = hvac.Client(url=sys.argv[1], verify=sys.argv[3])
client.auth.approle.login(held["role_id"], held["secret_id"])
values = [client.secrets.kv.v2.read_secret_version(f"nasos/bots/nasos/{name}", mount_point="kv",
          raise_on_deleted_version=True)["data"]["data"] for name in sys.argv[5:]]
os.execve(sys.argv[4], [sys.argv[4]], {f"V{i}": json.dumps(value) for i, value in enumerate(values)})
"""


@contextlib.contextmanager
def vault(place: Path) -> Iterator[Server]:
    """A bootstrapped server with the records of one bot."""
    server = Server(place / "home", place / "key" / "unseal.key")
    server.start()
    try:
        root = Token(server.bootstrap_keeping_root())
        with VaultClient(VaultConnection(server.address, server.ca_file, root), prefix="nasos/bots/nasos") as client:
            for name, fields in RECORDS.items():
                client.write(name, {key: Secret(value) for key, value in fields.items()})
        yield server
    finally:
        server.stop()


def contestants(place: Path, server: Server, stamp: Path) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Command line and environment of each; every one ends in running ``stamp``."""
    held = server.files.credentials / "bot-nasos.json"
    plain = {"PATH": os.environ["PATH"], "HOME": str(place)}
    ours = plain | {
        "NASOS_HOME": str(server.home),
        "NASOS_PROJECT": str(place),
        "VAULT_ADDR": server.address,
        "VAULT_CACERT": str(server.ca_file),
    }
    (place / "nasos.toml").write_text(f'[bot]\npython = "{stamp}"\n')
    url = "postgresql+psycopg://127.0.0.1/x?sslmode=verify-full"
    (place / "base.json").write_text(json.dumps({"db_url": url}))
    line = ["freqtrade", "trade", "-c", str(place / "base.json")]
    hvac = [sys.executable, "-c", HVAC, server.address, str(held), str(server.ca_file), str(stamp), *RECORDS]
    return {
        "nasos run": (
            [str(Path(sys.executable).parent / "nasos"), "run", "--bot", "nasos", "--once", "--", *line],
            ours,
        ),
        "bao agent": ([str(find("bao")), "agent", f"-config={agent(place, server, stamp)}"], plain),
        "python + hvac": (hvac, plain),
    }


def agent(place: Path, server: Server, stamp: Path) -> Path:
    """Configuration of ``bao agent`` in process supervisor mode."""
    held = json.loads((server.files.credentials / "bot-nasos.json").read_text())
    for name in ("role_id", "secret_id"):
        (place / name).write_text(held[name])
        (place / name).chmod(0o600)
    template = '{{{{ with secret "kv/data/nasos/bots/nasos/{0}" }}}}{{{{ .Data.data | toJSON }}}}{{{{ end }}}}'
    variables = "\n".join(
        f'env_template "V_{name}" {{ contents = {json.dumps(template.format(name))} }}' for name in RECORDS
    )
    path = place / "agent.hcl"
    path.write_text(f"""
vault {{ address = "{server.address}"  ca_cert = "{server.ca_file}" }}
auto_auth {{
  method "approle" {{
    config = {{
      role_id_file_path = "{place}/role_id"
      secret_id_file_path = "{place}/secret_id"
      remove_secret_id_file_after_reading = false
    }}
  }}
}}
{variables}
exec {{ command = ["{stamp}"]  restart_on_secret_changes = "never" }}
""")
    return path


def one(command: list[str], environment: dict[str, str], stamped: Path, log: Path) -> float:
    """Milliseconds from exec to the stamp."""
    stamped.unlink(missing_ok=True)
    with log.open("wb") as output:
        begin = time.time_ns()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            while not (stamped.exists() and stamped.read_text().endswith("\n")):
                if time.time_ns() - begin > 30e9:
                    raise SystemExit(f"{command[0]} did not start its program:\n{log.read_text()}")
                time.sleep(0.005)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    return (int(stamped.read_text()) - begin) / 1e6


def measure(rounds: int, say: Callable[[str], None]) -> None:
    """All contestants in turn, ``rounds`` times after one unmeasured round."""
    with tempfile.TemporaryDirectory() as directory, vault(Path(directory)) as server:
        place = Path(directory)
        stamp, stamped = place / "stamp", place / "stamped"
        stamp.write_text(f"#!/bin/sh\nexec date +%s%N > {stamped}\n")
        stamp.chmod(0o755)
        racing = contestants(place, server, stamp)
        times: dict[str, list[float]] = {name: [] for name in racing}
        for number in range(rounds + 1):
            for name, (command, environment) in racing.items():
                taken = one(command, environment, stamped, place / "log")
                if number:
                    times[name].append(taken)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        for name, taken in times.items():
            ratio = medians[name] / medians["nasos run"]
            say(f"{name:14} median {medians[name]:7.1f} ms  min {min(taken):7.1f}  n {len(taken)}  x{ratio:.2f}")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10, print)
