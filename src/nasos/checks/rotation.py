"""Rotation: the fourth subject of the user's document. Its pieces, and whether a killed rotator left something open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.checks.vault_access import logged_in
from nasos.errors import SecretNotFound
from nasos.finding import Severity
from nasos.rotation.inventory import How
from nasos.rotation.journal import FOLDER
from nasos.secret import Secret
from nasos.vault.client import VaultApi

UNDER_WAY: Final = timedelta(minutes=5)
"""How long a rotation may be open; it takes seconds, a minute where its consumer hesitates."""


@rule(
    "rotation.mechanism",
    title="Secrets can be rotated, and no rotation was left open",
    severity=Severity.MEDIUM,
    why="a secret that cannot be replaced quickly stays valid in the hands of whoever copied it",
    fix="./nasos vault bootstrap",
    needs=("vault.authentication",),
)
def mechanism(target: Target) -> Verdict:
    """The script of the user's document, the identity that rotates, and the journals in Vault."""
    if target.project is not None:
        script = target.project / "scripts" / "rotate_secrets.sh"
        if not os.access(script, os.X_OK):
            return Failed(f"{script} is missing or cannot be run", f"git checkout {script} && chmod +x {script}")
    if target.ports is None:
        return Skipped("no stack was made here")
    if not (target.home / "credentials" / "rotator.json").exists():
        return Failed("the role rotator has no credential")
    with logged_in(target) as (server, token):
        begun = dict(_open(server, token, ""))
    left = [unit for unit, since in begun.items() if target.now - since > UNDER_WAY]
    if left:
        return Failed(f"a rotation of {', '.join(left)} was left open", "./nasos rotate resume")
    return Passed("script and role are there, no rotation is open" if not begun else f"under way: {', '.join(begun)}")


def _open(server: VaultApi, token: Secret, below: str) -> Iterator[tuple[str, datetime]]:
    """Open rotations and their last step's time, from their metadata: no value is read."""
    try:
        listed = server.request("LIST", f"kv/metadata/{FOLDER}/{below}", token=token)
    except SecretNotFound:
        return
    for name in msgspec.convert(listed["data"], dict[str, list[str]])["keys"]:
        if name.endswith("/"):
            yield from _open(server, token, below + name)
        elif not name.startswith("_"):
            known = server.request("GET", f"kv/metadata/{FOLDER}/{below}{name}", token=token)
            yield below + name, msgspec.convert(known["data"], _Times).updated_time


class _Times(msgspec.Struct):
    updated_time: datetime


@rule(
    "rotation.inventory",
    title="Every stored secret has a rotator or a reminder",
    severity=Severity.LOW,
    why="a secret that nobody thinks of is never replaced, and still valid when it turns up somewhere",
    fix="./nasos rotate inventory",
    needs=("vault.authentication",),
)
def inventory(target: Target) -> Verdict:
    """Each field in Vault and each private file, by name; no value is read."""
    if target.inventory is None:
        return Skipped("no stack was made here")
    rows = target.inventory()
    unknown = [f"{row.place} {row.field}".rstrip() for row in rows if row.how is How.UNKNOWN]
    if unknown:
        return Failed(f"nobody says how these are replaced: {', '.join(unknown)}")
    secrets = [row for row in rows if row.how in {How.AUTOMATIC, How.REMINDER}]
    return Passed(f"{len(secrets)} secrets, {sum(row.how is How.AUTOMATIC for row in secrets)} of them automatic")


@rule(
    "rotation.overdue",
    title="No secret is older than its timetable allows",
    severity=Severity.MEDIUM,
    why="the longer a secret is in use, the more places it may have been copied to",
    fix="./nasos rotate schedule",
    needs=("vault.authentication",),
)
def overdue(target: Target) -> Verdict:
    """By the timetable, which `[rotation.schedule]` of nasos.toml changes."""
    if target.inventory is None:
        return Skipped("no stack was made here")
    late = {row.by or row.place: row for row in target.inventory() if row.overdue}
    if late:
        fix = " && ".join(f"./nasos rotate now {name}" for name, row in late.items() if row.how is How.AUTOMATIC)
        return Failed("; ".join(f"{name}: {row.note}" for name, row in late.items()), fix)
    return Passed("none is overdue")


RULES: Final = (mechanism, inventory, overdue)
