"""Disks that are full or read-only, one after the other: real file systems, real servers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("full_disk.py")
OWN_MOUNTS = ["unshare", "--mount"]
if os.geteuid() != 0:
    OWN_MOUNTS += ["--user", "--map-current-user", "--keep-caps"]


@pytest.mark.parametrize("case", ["audit", "second", "raft", "postgres", "ledger", "files", "housekeeping"])
def test_nothing_acknowledged_is_lost_and_all_recovers_once_there_is_room(case: str) -> None:
    """full_disk.py says what each case does; it runs in a mount namespace of its own."""
    # Not below pytest's own directory: that one is root's alone, and the database's user must get through.
    with tempfile.TemporaryDirectory(prefix="nasos-disk-") as place:
        Path(place).chmod(0o711)
        done = subprocess.run(
            [*OWN_MOUNTS, sys.executable, str(PROGRAM), case, place],
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
