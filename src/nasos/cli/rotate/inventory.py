"""``nasos rotate inventory``: every secret of the stack, what becomes of it; exit 1 for what is overdue or unknown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.rotate.context import rotating
from nasos.cli.rotate.timetable import local, look
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.rotation.inventory import Row


@click.command()
@output.json_option
def inventory(*, as_json: bool) -> int:
    """Every secret, ours and yours: its rotator or its reminder, its age, its next date. No value is read."""
    rows = taken(load())
    if as_json:
        output.document(rows)
    else:
        secrets = [row for row in rows if row.how != "public"]
        for row in secrets:
            output.say(_line(row))
        output.say(f"and {len(rows) - len(secrets)} fields and files that are private and hold no secret")
    return EXIT_FINDINGS if any(row.overdue or row.how == "unknown" for row in rows) else EXIT_CLEAN


def taken(settings: Settings) -> list[Row]:
    """The inventory now.

    Raises:
        Error: There is no stack, or Vault cannot be asked.
    """
    from nasos.stack.rotation.inventory import inventory as of_stack

    with rotating(settings) as at, at.stack.vault("checker") as asker:
        return of_stack(at.stack, at.engine, look(at).lines(), asker, datetime.now(UTC))


def _line(row: Row) -> str:
    mark = "✗" if row.overdue or row.how == "unknown" else "✓"
    what = f"{row.place} {row.field}".rstrip()
    dates = f"{local(row.since):<16}  {local(row.next):<16}"
    return f"{mark} {what:<40}  {row.how:<9}  {dates}  {row.note}{' OVERDUE' * row.overdue}".rstrip()
