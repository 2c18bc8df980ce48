"""Rotation: the fourth subject of the user's document. Until it is there, only its pieces can be judged."""

from __future__ import annotations

import os
from typing import Final

from nasos.checks.rule import Failed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity


@rule(
    "rotation.mechanism",
    title="The pieces of rotation are in place",
    severity=Severity.MEDIUM,
    why="a secret that cannot be replaced quickly stays valid in the hands of whoever copied it",
    fix="./nasos vault bootstrap",
)
def mechanism(target: Target) -> Verdict:
    """The script of the user's document, and the identity that rotates."""
    if target.project is not None:
        script = target.project / "scripts" / "rotate_secrets.sh"
        if not os.access(script, os.X_OK):
            return Failed(f"{script} is missing or cannot be run", f"git checkout {script} && chmod +x {script}")
    if target.ports is not None and not (target.home / "credentials" / "rotator.json").exists():
        return Failed("the role rotator has no credential")
    return Skipped("rotation is not there yet; its script and its role are")


RULES: Final = (mechanism,)
