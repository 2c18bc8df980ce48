"""``nasos rotate install-timer``: the timetable by systemd, for those who switched the stack's own program off."""

from __future__ import annotations

import sys

import click

from nasos.cli import output
from nasos.cli.recorded import recorded
from nasos.settings import load


@click.command("install-timer")
@click.option("--remove", "gone", is_flag=True, help="Take it away again.")
def install_timer(*, gone: bool) -> None:
    """Have systemd run "nasos rotate due" every quarter of an hour: your own service manager, as root the system's."""
    from nasos.stack import boot, timer
    from nasos.stack.embedded import Stack

    boot.require_systemd(otherwise=f"from cron: {sys.executable} -m nasos rotate due")
    settings = load()
    stack = Stack.existing(settings)
    with recorded(settings, "rotation.timer", stack.record.id, {"how": "remove" if gone else "install"}):
        for text in timer.remove(stack) if gone else timer.install(stack):
            output.say(text)
