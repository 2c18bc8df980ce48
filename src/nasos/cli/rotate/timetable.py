"""``nasos rotate schedule | due``: the timetable, and what is due by it.

Rules: ``schedule`` looks only. ``due`` finishes what was left open, rotates what is due, and says what a person has to
replace; exit 1 when something is overdue or was taken back, 3 when something could not be done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.recorded import person
from nasos.cli.rotate.context import Rotating, ended, rotating
from nasos.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS
from nasos.settings import load

if TYPE_CHECKING:
    from nasos.rotation.timetable import Line
    from nasos.stack.rotation.due import Look


@click.command()
@output.json_option
def schedule(*, as_json: bool) -> None:
    """The timetable: how often each secret is replaced, since when it stands, when it is next, what is overdue."""
    with rotating(load()) as at:
        lines = look(at).lines()
    if as_json:
        output.document([row(line) for line in lines])
        return
    for text in table(lines):
        output.say(text)


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
def due(*, dry_run: bool) -> int:
    """Rotate what is due now, and say what a person has to replace. For cron, and for timers of systemd."""
    with rotating(load()) as at:
        return _show(look(at).lines()) if dry_run else _done(look(at))


def look(at: Rotating) -> Look:
    """A look at the timetable, as the person at the terminal."""
    from nasos.stack.rotation.due import Look

    return Look(at.engine, at.stack.settings.rotation, at.stack.home.ledger, person())


def row(line: Line) -> dict[str, object]:
    """A line as JSON."""
    from nasos.rotation.timetable import shown

    return {
        "name": line.name,
        "every": shown(line.policy.every),
        "window": str(line.policy.window) if line.policy.window and line.policy.automatic else None,
        "since": line.since,
        "next": line.next,
        "due": line.due,
        "overdue": line.overdue,
        "how": "automatic" if line.policy.automatic else "reminder",
        "why": line.why or None,
    }


def table(lines: Sequence[Line]) -> Iterator[str]:
    """For a person: dates in local time."""
    from nasos.rotation.timetable import shown

    width = max([len(line.name) for line in lines] + [4])
    yield f"  {'name':<{width}}  every  {'since':<16}  {'next':<16}  how"
    for line in lines:
        mark = "✗" if line.overdue else "✓"
        how = "automatic" if line.policy.automatic else "reminder"
        dates = f"{local(line.since):<16}  {local(line.next):<16}"
        yield f"{mark} {line.name:<{width}}  {shown(line.policy.every):<5}  {dates}  {how}{' OVERDUE' * line.overdue}"


def local(moment: datetime | None) -> str:
    """Minutes, in the machine's time."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "-"


def _show(lines: Sequence[Line]) -> int:
    for line in lines:
        if line.due:
            output.say(f"{line.name}: would be rotated now")
    return _reviewed(lines)


def _done(looking: Look) -> int:
    done = looking.all()
    codes = [ended(result) for result in done.results]
    for error in done.errors:
        output.report(error)
    if done.busy:
        output.note(f"nasos: note: left to the next time: {done.busy}")
    return max([*codes, _reviewed(done.lines), EXIT_FAILED if done.errors else EXIT_CLEAN])


def _reviewed(lines: Sequence[Line]) -> int:
    late = [line for line in lines if line.overdue and not line.due]
    for line in late:
        output.say(f"✗ {line.name}: {line.why}")
    coming = min(((line.next, line.name) for line in lines if line.next and line.policy.automatic), default=None)
    if coming and not any(line.due for line in lines):
        output.say(f"next: {coming[1]}, {local(coming[0])}")
    return EXIT_FINDINGS if any(line.overdue for line in lines) else EXIT_CLEAN
