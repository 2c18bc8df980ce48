"""``nasos ledger``: what happened, and whether anybody changed the record of it."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from nasos import settings
from nasos.cli import output
from nasos.cli.context import operator_client
from nasos.cli.recorded import OPERATOR, person
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, FileRefused, LedgerError, SettingsError, VaultError
from nasos.ledger import ACCEPTED, Event, Examination, Kind, Ledger, Remembered, read, verify
from nasos.settings import Settings
from nasos.stack.watcher.anchor import Anchor, paths


@click.group()
def ledger() -> None:
    """Show and verify the security events."""


@ledger.command()
@click.option("-n", "count", type=click.IntRange(min=1), default=20, show_default=True, help="How many, newest last.")
@output.json_option
def show(count: int, *, as_json: bool) -> None:
    """Show the newest events; the chain is verified first."""
    # By time between the ledgers, by number within each: a clock that was set back moves nothing out of sight.
    each = (read(path) for path in ledgers(settings.load().home))
    events = list(deque(heapq.merge(*each, key=lambda event: event.time), count))
    if as_json:
        output.document(events)
        return
    for event in events:
        output.say(_line(event))
    if not events:
        output.note("no events yet")


@ledger.command("verify")
@click.option("--offline", is_flag=True, help="Do not ask Vault, which remembers where each ledger ended.")
@output.json_option
def verify_command(*, offline: bool, as_json: bool) -> int:
    """Check that nothing was edited, deleted, moved, put in or cut off; exit 1 when something was.

    A ledger that was cut or written anew, with all that lies beside it, is found by Vault's memory of its end only:
    exit 3 when Vault cannot be asked.
    """
    loaded = settings.load()
    known = {} if offline else _remembered(loaded)
    places = {name: path for name, path in paths(loaded.home).items() if path in ledgers(loaded.home)}
    judged = {path: verify(path, known.get(name, ())) for name, path in places.items()}
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


@ledger.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def accept(*, yes: bool) -> None:
    """Accept what verify found cut off or put back, once you know why; it stays in the record, and so does this.

    Edited, deleted or moved lines cannot be accepted: put a copy back.
    """
    loaded = settings.load()
    path = paths(loaded.home)["operator"]
    damages = [damage for damage in verify(path).damages if damage.kind not in {Kind.TRUNCATED, Kind.FORKED}]
    if damages:
        raise LedgerError(damages[0].text, "put a copy of the ledger back, then: nasos ledger verify")
    if not yes:
        click.confirm("accept the ledger as it is now?", abort=True, err=True)
    with operator_client(settings=loaded) as client:
        event = Ledger(path, OPERATOR).append(ACCEPTED, "operator", detail={"by": person()})
        Anchor(client).remember({"operator": verify(path).head})
    output.note(f"accepted with event {event.seq}")


def _remembered(loaded: Settings) -> dict[str, list[Remembered]]:
    """Ledger -> what Vault remembers of it; nothing where there is no Vault yet."""
    try:
        client = operator_client(settings=loaded)
    except SettingsError:
        return {}
    with client:
        try:
            return {name: [Remembered("Vault", head)] for name, head in Anchor(client).recall().items()}
        except (VaultError, FileRefused) as error:
            raise LedgerError(
                f"where the ledger ended cannot be asked of Vault: {error.message}", "nasos ledger verify --offline"
            ) from None


def ledgers(home: Path) -> list[Path]:
    """The operator's ledger, and those of services with a user of their own (run as root)."""
    own = [home / "run" / name / "events.jsonl" for name in ("bot", "gateway", "companion")]
    return [home / "ledger" / "events.jsonl", *(path for path in own if path.is_file())]


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
