"""How long a backup and a restore of the demo stack take and how large the file is, against the usual chain of tools.

    .venv/bin/python benchmarks/backup.py [--runs 5]

The peer: `bao operator raft snapshot save`, `pg_dumpall`, `tar` of the same files, `zstd`, `gpg --symmetric`, in one
shell script, token and password at hand. It makes one file as well; what it does not do: look whether the parts are
whole, sign them, publish the file atomically, keep a way back for when the SecretIDs have run out. All times are wall
clock of the whole command, start of the interpreter included.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nasos.settings import AppRole, load
from nasos.stack import postgres
from nasos.stack.binaries import find
from nasos.stack.embedded import Stack
from nasos.vault.auth import AppRoleLogin
from nasos.vault.client import VaultApi

PROJECT = Path(__file__).resolve().parents[1]
PASSPHRASE = "correct horse battery staple\n"
PEER = """\
set -eu
cd "$WORK"
"$BAO" operator raft snapshot save vault.snap
"$PG_DUMPALL" --no-password -f postgres.sql
tar -c vault.snap postgres.sql -C "$NASOS_HOME" stack.json tls ledger bot | zstd -q |
  gpg --batch --yes --quiet --symmetric --pinentry-mode loopback --passphrase-file phrase -o peer.gpg
"""


def timed(command: list[str], environment: dict[str, str], stdin: str = "") -> float:
    """Seconds that a command took; its output is shown when it fails."""
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment, cwd=PROJECT, input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{command} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def shown(name: str, seconds: list[float], file: Path | None = None) -> None:
    """One line."""
    size = f", {file.stat().st_size:,} bytes" if file else ""
    print(f"{name:28} median {statistics.median(seconds):6.2f} s, {min(seconds):.2f}-{max(seconds):.2f}, "
          f"n={len(seconds)}{size}")  # fmt: skip


def peer_environment(environment: dict[str, str], work: Path) -> dict[str, str]:
    """What the chain of tools needs: a token that may take a snapshot, the administrator's password in a file."""
    stack = Stack.existing(load(environment))
    api = VaultApi(stack.vault_address, stack.ca_file)
    credential = AppRole(role_id="", secret_id_file=stack.home.credentials / "backup.json")
    token = AppRoleLogin(api, credential).obtain().token.reveal()
    with stack.vault("rotator") as vault:
        admin = postgres.admin_login(vault)
    passwords = work / "pgpass"
    passwords.touch(0o600)
    passwords.write_text(f"127.0.0.1:{stack.ports.postgres}:*:{admin.username}:{admin.password.reveal()}\n")
    work.joinpath("phrase").write_text(PASSPHRASE)
    return environment | {
        "WORK": str(work), "BAO": str(find("bao")), "PG_DUMPALL": str(find("pg_dumpall")),
        "VAULT_ADDR": stack.vault_address, "VAULT_CACERT": str(stack.ca_file), "VAULT_TOKEN": token,
        "PGHOST": "127.0.0.1", "PGPORT": str(stack.ports.postgres), "PGUSER": admin.username,
        "PGPASSFILE": str(passwords), "PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(stack.ca_file),
        "GNUPGHOME": str(work),
    }  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory:
        base = Path(directory)
        base.chmod(0o755)
        work = base / "peer"
        work.mkdir(0o700)
        environment = os.environ | {"NASOS_HOME": str(base / "state"), "NASOS_KEY_DIR": str(base / "keys")}
        nasos = [str(PROJECT / "nasos")]
        try:
            timed([*nasos, "up", "--port", "28543"], environment)
            measured(nasos, environment, base, work, runs)
        finally:
            subprocess.run([*nasos, "down"], env=environment, cwd=PROJECT, capture_output=True, check=False)


def measured(nasos: list[str], environment: dict[str, str], base: Path, work: Path, runs: int) -> None:
    """Every figure."""
    file, by_phrase, identity = base / "b.age", base / "p.age", base / "id.key"
    made = subprocess.run(
        [*nasos, "backup", "keygen", str(identity)], env=environment, capture_output=True, text=True, check=True
    )
    to = ["--recipient", made.stdout.strip(), "--force"]
    shown("backup to a recipient", [timed([*nasos, "backup", str(file), *to], environment) for _ in range(runs)], file)
    command = [*nasos, "backup", str(by_phrase), "--force"]
    shown("backup to a passphrase", [timed(command, environment, PASSPHRASE) for _ in range(runs)], by_phrase)
    tools = peer_environment(environment, work)
    shown("bao + pg_dumpall + tar + gpg", [timed(["/bin/sh", "-c", PEER], tools) for _ in range(runs)],
          work / "peer.gpg")  # fmt: skip
    verify = [*nasos, "backup", "verify", str(file), "--identity", str(identity)]
    shown("verify", [timed(verify, environment) for _ in range(runs)])
    timed([*nasos, "down"], environment)
    seconds = []
    for number in range(runs):
        target = environment | {"NASOS_HOME": str(base / f"r{number}"), "NASOS_KEY_DIR": str(base / f"k{number}")}
        words = ["restore", str(file), "--identity", str(identity), "--unseal-key", str(base / "keys" / "unseal.key")]
        seconds.append(timed([*nasos, *words], target))
        shutil.rmtree(base / f"r{number}")
    shown("restore, every login proven", seconds)


if __name__ == "__main__":
    main()
