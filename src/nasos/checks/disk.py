"""Disks and logs: room for what has to be written, and a second place for the audit log (group ``host``).

Rules: room is looked at now, not remembered. A machine with one disk is told what that means; it is no failure of its
operator's, and no green either.
"""

from __future__ import annotations

from typing import Final

from nasos import disk
from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity

STALE_SECONDS: Final = 120.0
"""Twenty rounds of housekeeping."""


@rule(
    "host.disk",
    title="There is room on every disk that the stack writes to",
    severity=Severity.CRITICAL,
    why="on a full disk Vault answers every request with 500 while its health address says 200, and PostgreSQL stops",
    fix="df -h shows the disks; make room, then ./nasos status",
)
def room(target: Target) -> Verdict:
    """Read-only counts as full: nothing can be written there either."""
    if not target.writes:
        return Skipped("there is no stack here")
    rooms = disk.distinct(target.writes)
    audit = {each.stat().st_dev for each in target.writes[:2] if each.is_dir()}
    for each in rooms:
        name = "audit disk" if each.device in audit else "disk"
        if each.read_only:
            return Failed(
                f"{name} read-only: {each.path}", f"findmnt -T {each.path} shows why; mount it writable again"
            )
        if each.free < disk.low(target.ballast_bytes):
            return Failed(f"{name} full: {each.free >> 10} kB are left for {each.path}")
    return Passed(", ".join(f"{each.free >> 20} MB free for {each.path}" for each in rooms))


@rule(
    "host.audit-disks",
    title="The two audit logs lie on two file systems",
    severity=Severity.LOW,
    why="one audit log that can be written is enough for Vault to serve; on one disk both are full at the same moment",
    fix="second_audit_dir under [housekeeping] of nasos.toml, then ./nasos down && ./nasos up",
)
def audit_disks(target: Target) -> Verdict:
    """Asked for only where the machine has another disk."""
    first, second = (*target.writes[:2], None, None)[:2]
    if first is None or second is None or not (first.is_dir() and second.is_dir()):
        return Skipped("there is no stack here")
    if first.stat().st_dev != second.stat().st_dev:
        return Passed(f"{first} and {second}")
    if target.other_disks:
        other = target.other_disks[0]
        return Failed(
            f"both lie on the disk of {first}, and there is another one at {other}",
            f'second_audit_dir = "{other / "nasos-audit"}" under [housekeeping] of nasos.toml, '
            "then ./nasos down && ./nasos up",
        )
    return Skipped("this machine has one disk: when it is full, both audit logs are; a ballast is held back for that")


@rule(
    "host.housekeeping",
    title="Logs are rotated, and the disk is watched",
    severity=Severity.MEDIUM,
    why="without it logs grow until the disk is full, and nobody gives the ballast up in that moment",
    fix="./nasos restart housekeeping",
    needs=("vault.reachable",),
)
def housekeeping(target: Target) -> Verdict:
    """Its newest round, and what it could not do."""
    if target.ports is None:
        return Skipped("there is no stack here")
    seen = target.housekeeping
    if seen is None:
        return Failed("it never finished a round", "./nasos logs housekeeping; ./nasos up starts it")
    if seen.age_seconds > STALE_SECONDS:
        return Failed(f"its newest round was {seen.age_seconds:.0f} s ago")
    if seen.troubles:
        return Failed("; ".join(seen.troubles), "./nasos logs housekeeping")
    if not seen.confined:
        return Failed("it is not confined: this kernel has no Landlock", "a kernel from 5.13 on, with landlock in lsm=")
    return Passed(f"newest round {seen.age_seconds:.0f} s ago, confined")


RULES: Final = (room, audit_disks, housekeeping)
