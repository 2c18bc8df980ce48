"""Whether the stack could be brought back (group ``host``).

Rules: what counts is when the newest backup was made; where it is now, only its owner knows: a copy that was moved away
is a good one. A stack that never traded real money and has no backup is told so, and does not fail for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.errors import FileRefused
from nasos.finding import Severity

OLDEST: Final = timedelta(days=7)
"""A week of trades and secrets is what a person can still put together from the exchange's own lists."""

SKEW: Final = timedelta(hours=1)
"""A clock may have been set back by so much meanwhile."""


@rule(
    "host.backup",
    title="The newest backup is younger than a week",
    severity=Severity.MEDIUM,
    why="one broken disk, and the secrets in Vault and the list of open trades are gone for good",
    fix="./nasos backup FILE",
)
def backup(target: Target) -> Verdict:
    """By ``backup.json``, which each backup writes when it is whole."""
    if target.ports is None:
        return Skipped("there is no stack here")
    newest = _newest(target.home / "backup.json")
    if newest is None:
        if target.bot.dry_run:
            return Skipped("no backup was ever made (no real money is traded): ./nasos backup FILE")
        return Failed("no backup was ever made, and the bot trades real money")
    age = target.now - newest.created
    if age < -SKEW:
        return Failed(f"the newest backup is dated {newest.created:%Y-%m-%d %H:%M}, which is in the future", "date")
    if age > OLDEST:
        return Failed(f"the newest backup is {age.days} days old: {newest.file}")
    gone = newest.file != "-" and not Path(newest.file).exists()
    return Passed(f"{age // timedelta(hours=1)} h old: {newest.file}" + (" (moved away since)" if gone else ""))


class _Newest(msgspec.Struct):
    """What the backup wrote down (`stack/backup/newest.py`)."""

    created: datetime
    file: str


def _newest(path: Path) -> _Newest | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Newest)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise FileRefused(f"{path} is damaged: when the newest backup was made cannot be told") from None


RULES: Final = (backup,)
