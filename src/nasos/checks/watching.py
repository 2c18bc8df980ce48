"""Whether somebody would hear of what fails, and whether the record of it is whole (group ``host``)."""

from __future__ import annotations

from typing import Final

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity
from nasos.ledger import verify

STALE_SECONDS: Final = 90.0
"""A round of the watcher takes a second, and half a minute more while a receiver hangs."""


@rule(
    "host.alerts",
    title="What fails is told to somebody",
    severity=Severity.MEDIUM,
    why="a bot that ended, or a Vault that is away, costs money for as long as nobody knows",
    fix="nasos alert test",
    needs=("vault.reachable",),
)
def alerts(target: Target) -> Verdict:
    """The watcher lives, and every channel delivers."""
    if target.ports is None:
        return Skipped("there is no stack here")
    seen = target.watcher
    if seen is None:
        return Failed("the watcher never finished a round", "./nasos logs watcher; ./nasos up starts it")
    if seen.age_seconds > STALE_SECONDS:
        return Failed(f"the watcher's newest round was {seen.age_seconds:.0f} s ago", "./nasos restart watcher")
    if seen.failing:
        return Failed("; ".join(f"{name}: {why}" for name, why in seen.failing.items()))
    if not seen.channels:
        return Skipped("nobody is told yet: nasos alert add NAME")
    return Passed(f"{seen.channels} channel(s), none of which fails")


@rule(
    "host.ledger",
    title="The ledger is whole",
    severity=Severity.HIGH,
    why="whoever changes the record of what happened has something to hide, or a disk that fails",
    fix="nasos ledger verify",
)
def ledger(target: Target) -> Verdict:
    """Both ledgers, held to the ends that are remembered beside them; Vault's memory is for ``nasos ledger verify``."""
    own = [target.home / "run" / name / "events.jsonl" for name in ("bot", "gateway", "companion")]
    paths = [target.home / "ledger" / "events.jsonl", *own]
    found = [verify(path) for path in paths]
    damages = [damage.text for each in found for damage in each.damages]
    if damages:
        return Failed("; ".join(damages[:3]))
    return Passed(f"{sum(each.events for each in found)} events")


RULES: Final = (alerts, ledger)
