"""How long the stack takes to be proven healthy, and what memory each part holds.

    .venv/bin/python benchmarks/stack_up.py [--runs 5] [--checkout]

``first``: `nasos up` in an empty home (init, bootstrap, initdb, migrations). ``warm``: `nasos down`, `nasos up`.
``--checkout`` adds `scripts/setup_security.sh` in a fresh copy of the checkout, packages cached (goal: at most 60 s;
warm at most 10 s). Memory is PSS: shared pages count once, in proportion (proc_pid_smaps(5)).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BASE_PORT = 28443


def timed(command: list[str], environment: dict[str, str], cwd: Path) -> float:
    """Seconds that a command took; its output is shown when it fails."""
    started = time.monotonic()
    done = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def pss_mib(pid: int) -> float:
    """Proportional set size of a process and all its descendants, in MiB."""
    total = 0
    children = {int(p.name): _parent(p) for p in Path("/proc").glob("[0-9]*")}
    wanted, grown = {pid}, True
    while grown:
        more = {child for child, parent in children.items() if parent in wanted} | wanted
        grown, wanted = more != wanted, more
    for one in wanted:
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--checkout", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nasos-bench-") as directory:
        base = Path(directory)
        base.chmod(0o755)
        if options.checkout:
            project = base / "checkout"
            subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(project)], check=True)
            home = project / ".nasos"
        else:
            project, home = PROJECT, base / "state"
        keys = base / "keys"
        keys.mkdir(mode=0o711)
        environment = os.environ | {"NASOS_HOME": str(home), "NASOS_KEY_DIR": str(keys / "key")}
        nasos = [str(project / "nasos")]
        up = [*nasos, "up", "--port", str(BASE_PORT)]
        if options.checkout:
            setup = [str(project / "scripts/setup_security.sh"), "--port", str(BASE_PORT)]
            print(f"fresh checkout, packages cached -> healthy: {timed(setup, environment, project):.1f} s (n=1)")
        else:
            first = []
            for _ in range(options.runs):
                first.append(timed(up, environment, project))
                timed([*nasos, "down"], environment, project)
                shutil.rmtree(home)
            print(f"first `nasos up`:  median {statistics.median(first):.1f} s, {min(first):.1f}-{max(first):.1f}, "
                  f"n={len(first)}")  # fmt: skip
            timed(up, environment, project)
        warm = []
        for _ in range(options.runs):
            timed([*nasos, "down"], environment, project)
            warm.append(timed([*nasos, "up"], environment, project))
        print(
            f"warm `nasos up`:   median {statistics.median(warm):.1f} s, {min(warm):.1f}-{max(warm):.1f}, n={len(warm)}"
        )
        again = [timed([*nasos, "up"], environment, project) for _ in range(options.runs)]
        print(f"`up` when it runs: median {statistics.median(again):.2f} s, n={len(again)}")
        status = subprocess.run(
            [*nasos, "status", "--json"], env=environment, capture_output=True, text=True, check=True
        )
        for program in json.loads(status.stdout)["programs"]:
            print(f"memory of {program['name']:9} {pss_mib(program['pid']):6.0f} MiB")
        supervisor = int((home / "run/supervisord/process").read_text().split(" ", 1)[0])
        print(f"memory of {'all':9} {pss_mib(supervisor):6.0f} MiB, supervisord included")
        timed([*nasos, "down"], environment, project)


if __name__ == "__main__":
    main()
