"""``nasos ledger``: what happened, and whether anybody changed the record of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from nasos import settings
from nasos.cli import output
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS
from nasos.ledger import Event, Examination, read, verify


@click.group()
def ledger() -> None:
    """Show and verify the security events."""


@ledger.command()
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest last.")
@output.json_option
def show(count: int, *, as_json: bool) -> None:
    """Show the newest events; the chain is verified first."""
    merged = (event for path in ledgers(settings.load().home) for event in read(path))
    events = sorted(merged, key=lambda event: event.time)[-count:]
    if as_json:
        output.document(events)
        return
    for event in events:
        output.say(_line(event))
    if not events:
        output.note("no events yet")


@ledger.command("verify")
@output.json_option
def verify_command(*, as_json: bool) -> int:
    """Check that nothing was edited, deleted, moved, put in or cut off; exit 1 when something was."""
    judged = {path: verify(path) for path in ledgers(settings.load().home)}
    intact = all(found.intact for found in judged.values())
    if as_json:
        output.document({"intact": intact, "ledgers": [_shown(path, found) for path, found in judged.items()]})
    else:
        for path, found in judged.items():
            for line in _told(path, found):
                output.say(line)
        if not intact:
            output.note("nasos: hint: compare it with a copy; whoever may write there can have changed it")
    return EXIT_CLEAN if intact else EXIT_FINDINGS


def ledgers(home: Path) -> list[Path]:
    """The operator's ledger, and the one that a bot with a user of its own writes (run as root)."""
    bot = home / "run" / "bot" / "events.jsonl"
    return [home / "ledger" / "events.jsonl", *([bot] if bot.is_file() else [])]


def _shown(path: Path, found: Examination) -> dict[str, object]:
    return {
        "path": str(path),
        "intact": found.intact,
        "events": found.events,
        "head": {"seq": found.head.seq, "hash": found.head.hash},
        "damages": found.damages,
        "torn": [str(line) for line in found.torn],
    }


def _told(path: Path, found: Examination) -> Iterator[str]:
    for damage in found.damages:
        yield f"{damage.kind}: {damage.text}"
    if found.intact:
        yield f"intact: {path}, {found.events} events, the last with the hash {found.head.hash[:16]}"
    for line in found.torn:
        yield f"  {line}: a crash tore an event that nobody was told of; nothing is missing"


def _line(event: Event) -> str:
    detail = " ".join(f"{name}={_plain(value)}" for name, value in event.detail.items())
    parts = (event.time[:19], f"{event.outcome:<7}", event.actor, event.event, _plain(event.target), detail)
    return "  ".join(part for part in parts if part)


def _plain(text: str) -> str:
    """The text as it can be shown on one line: no control characters reach the terminal."""
    return text if text.isprintable() else msgspec.json.encode(text).decode()
