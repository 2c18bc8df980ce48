"""Vault's audit devices: what the server says against what lies on the disk.

Rules: health pages say nothing about auditing. A device whose file was deleted writes into nothing (the server keeps
the unlinked file open), one that was taken from the configuration leaves requests unaudited without a word; both
are seen only by asking for the devices and watching each file grow by our own request (measured, OpenBao 2.7).
"""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from nasos.checks.rule import Failed, Passed, Verdict, rule
from nasos.checks.target import Target
from nasos.checks.vault_access import logged_in
from nasos.finding import Severity
from nasos.secret import Secret
from nasos.vault.client import VaultApi

ROTATION_SECONDS: Final = 1.0
"""Between the renaming of a log and its writer opening the fresh one: milliseconds, more on a busy machine."""
FEWEST: Final = 2
"""A server with one device stops serving when that one cannot be written."""


class _Device(msgspec.Struct):
    type: str
    options: Mapping[str, str] = {}


@rule(
    "vault.audit-devices",
    title="Two audit devices write every request to private files",
    severity=Severity.HIGH,
    why="without the audit log nobody sees who read which secret, and with one device a full disk stops Vault",
    fix="./nasos restart vault",
    needs=("vault.authentication",),
)
def audit_devices(target: Target) -> Verdict:
    """Ask for the devices, make one request, and see each file grow."""
    with logged_in(target) as (server, token):
        answer = server.request("GET", "sys/audit", token=token)
        devices = msgspec.convert(answer["data"], dict[str, _Device])
        files = {name: Path(each.options.get("file_path", "")) for name, each in devices.items() if each.type == "file"}
        if len(files) < FEWEST:
            return Failed(f"{len(files)} file devices are active, {FEWEST} are needed", _declared(target))
        flaws = _flaws(server, token, files)
        if flaws:  # seen in the moment of a rotation? then it is over now
            time.sleep(ROTATION_SECONDS)
            flaws = _flaws(server, token, files)
    for name, flaw in flaws.items():
        return Failed(f"device {name.strip('/')}: {flaw}", f"chmod 600 {files[name]}" if "read" in flaw else "")
    return Passed(f"{len(files)} devices, each grew by our own request")


def _flaws(server: VaultApi, token: Secret, files: Mapping[str, Path]) -> dict[str, str]:
    """What is wrong with which device, by a request of our own."""
    before = {name: _seen(path) for name, path in files.items()}
    server.request("GET", "auth/token/lookup-self", token=token)
    after = {name: _seen(path) for name, path in files.items()}
    found = {name: _flaw(path, before[name], after[name]) for name, path in files.items()}
    return {name: flaw for name, flaw in found.items() if flaw}


def _declared(target: Target) -> str:
    return f"declare two audit devices in {target.home / 'vault' / 'config.hcl'}: ./nasos up writes them anew"


def _seen(path: Path) -> tuple[int, int, int] | None:
    """Inode, size and mode; None when there is no such file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, stat.S_IMODE(status.st_mode)


def _flaw(path: Path, before: tuple[int, int, int] | None, after: tuple[int, int, int] | None) -> str:
    if before is None or after is None:
        return f"{path} is gone; the server writes into nothing"
    if after[2] & 0o077:
        return f"{path} can be read by others (mode {after[2]:04o})"
    if before[0] == after[0] and after[1] <= before[1]:
        return f"{path} did not grow by our request; the server writes elsewhere"
    return ""
