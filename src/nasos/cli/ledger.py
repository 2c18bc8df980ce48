"""``nasos ledger``: what happened, and whether anybody changed the record of it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from nasos import settings
from nasos.cli import output
from nasos.errors import EXIT_FINDINGS, LedgerError
from nasos.ledger import Event, read


@click.group()
def ledger() -> None:
    """Show and verify the security events."""


@ledger.command("list")
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest last.")
@output.json_option
def show(count: int, *, as_json: bool) -> None:
    """Show the newest events; the chain is verified first."""
    merged = (event for path in _paths() for event in read(path))
    events = sorted(merged, key=lambda event: event.time)[-count:]
    if as_json:
        output.document(events)
        return
    for event in events:
        output.say(_line(event))
    if not events:
        output.note("no events yet")


@ledger.command()
@output.json_option
def verify(*, as_json: bool) -> int:
    """Check that no line was changed, removed or moved; exit 1 when one was."""
    events: list[Event] = []
    path = _paths()[0]
    try:
        for path in _paths():
            events += read(path)
    except LedgerError as broken:
        if not path.is_file():
            raise
        if as_json:
            output.document({"intact": False, "events": None, "path": str(path), "problem": broken.message})
        else:
            output.say(f"broken: {broken.message}")
            output.note("nasos: hint: compare it with a copy; whoever may write there can have changed it")
        return EXIT_FINDINGS
    if as_json:
        output.document({"intact": True, "events": len(events), "path": str(_paths()[0]), "problem": None})
    else:
        newest = f", the newest of {max(event.time for event in events)[:19]}" if events else ""
        output.say(f"intact: {len(events)} events{newest}")
    return 0


def _paths() -> list[Path]:
    """The operator's ledger, and the one that a bot with a user of its own writes (run as root)."""
    home = settings.load().home
    bot = home / "run" / "bot" / "events.jsonl"
    return [home / "ledger" / "events.jsonl", *([bot] if bot.is_file() else [])]


def _line(event: Event) -> str:
    detail = " ".join(f"{name}={_plain(value)}" for name, value in event.detail.items())
    parts = (event.time[:19], f"{event.outcome:<7}", event.actor, event.event, _plain(event.target), detail)
    return "  ".join(part for part in parts if part)


def _plain(text: str) -> str:
    """The text as it can be shown on one line: no control characters reach the terminal."""
    return text if text.isprintable() else msgspec.json.encode(text).decode()
