"""Housekeeping in the whole stack: as root each log is put aside as its own service."""

from __future__ import annotations

import json
import os
import pwd
import re
from pathlib import Path

import pytest

from fixtures.stack import Walk, until
from nasos.compress import opened

MORE_THAN_ENOUGH = 17 << 20
"""Bytes, beyond `rotate_mb`."""
LOGS = {
    "audit/primary/audit.log": "vault",
    "audit/second/audit.log": "vault",
    "nginx/access.log": "nginx",
    "nginx/error.log": "nginx",
}


def archives(path: Path) -> list[Path]:
    """What was put aside of a log and is compressed."""
    return sorted(path.parent.glob(f"{path.name}-*.zst"))


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_grew_is_put_aside_as_its_own_service(stack: Walk, name: str) -> None:
    """Renamed, its writer told, compressed: owner and mode stay, the program runs on and writes to the fresh file."""
    path, pid = stack.home / name, stack.pid(LOGS[name])
    before, owner = archives(path), path.stat().st_uid
    with path.open("ab") as grown:
        grown.write(b'{"type":"padding"}\n' * (MORE_THAN_ENOUGH // 19))
    until(lambda: len(archives(path)) > len(before), 60)
    [archive] = set(archives(path)) - set(before)
    assert archive.stat().st_uid == path.stat().st_uid == owner
    assert path.stat().st_mode & 0o777 == 0o600
    if stack.user is None and os.geteuid() == 0:
        assert pwd.getpwuid(owner).pw_name == f"nasos-{LOGS[name]}"
    with opened(archive) as content:
        assert content.read().count(b'{"type":"padding"}\n') == MORE_THAN_ENOUGH // 19
    size = path.stat().st_size
    if "error" not in name:
        until(lambda: stack.healthy() and path.stat().st_size > size, 30)
    assert stack.pid(LOGS[name]) == pid
    until(lambda: not list(path.parent.glob(f".{path.name}*")), 10)


def test_it_is_confined_and_holds_a_ballast(stack: Walk) -> None:
    """Landlock's rights are its own: what runs says so; the space is really taken."""
    [shown] = [each for each in stack.json("status")["programs"] if each["name"] == "housekeeping"]
    assert re.fullmatch(r"last round \d+ s ago, confined", shown["evidence"])
    ballast = stack.home / "run" / "housekeeping" / "ballast"
    until(lambda: ballast.exists() and ballast.stat().st_blocks * 512 >= 64 << 20, 30)
    [disk] = stack.json("status")["disks"]
    assert disk["ballast_bytes"] >= 64 << 20
    assert disk["days_left"] is None
    assert "cannot be told" in stack.nasos("status").stdout


def test_checks_know_it(stack: Walk) -> None:
    """Room, binaries and housekeeping itself are green on a fresh stack."""

    def green() -> bool:
        found = json.loads(stack.nasos("check", "host", "--json", check=False).stdout)["findings"]
        states = {each["id"]: each["state"] for each in found}
        assert states["host.audit-disks"] in {"skip", "fail"}  # the machine's: fails where another disk is mounted
        return {states[f"host.{name}"] for name in ("disk", "binaries", "housekeeping")} == {"pass"}

    until(green, 60)  # a busy machine may not have looked at every byte within the check's time
