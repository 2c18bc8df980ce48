"""``nasos rotate history``: who rotated what, when, why, how long it took, with which proofs, and how it ended.

Rules: from the ledger, and so of this machine; whether the newest one is open is asked of Vault, where it can be asked.
A ledger that was tampered with is said beside it.
"""

from __future__ import annotations

from pathlib import Path

import click

from nasos.cli import output
from nasos.errors import Error
from nasos.ledger import named, verify
from nasos.rotation.history import OPEN, UNKNOWN, Past
from nasos.rotation.history import history as of_events
from nasos.settings import Settings, load


@click.command()
@click.argument("name", required=False)
@click.option("-n", "count", type=click.IntRange(min=1), help="How many, newest last; default: all.")
@output.json_option
def history(name: str | None, count: int | None, *, as_json: bool) -> None:
    """Past rotations, of NAME or of all: who, when, why, how long, which proofs, how each ended."""
    settings = load()
    ledger = settings.home / "ledger" / "events.jsonl"
    found = [past for past in of_events(named(ledger, "rotation.")) if name in (None, past.name)][-(count or 0) :]
    _settle(settings, [past for past in found if past.outcome == OPEN])
    _doubt(ledger)
    if as_json:
        output.document(found)
        return
    for past in found:
        for text in _told(past):
            output.say(text)
    if not found:
        output.note(f"no rotation of {name} yet" if name else "no rotation yet")


def _settle(settings: Settings, left: list[Past]) -> None:
    """Whether what has no end is open: the journal in Vault says so."""
    if not left:
        return
    from nasos.cli.context import operator_client
    from nasos.rotation.journal import Journal
    from nasos.vault.kv import KvStore

    try:
        with operator_client(settings=settings) as client:
            known = {opened.entry.id for opened in Journal(KvStore(client.session)).open()}
    except Error as error:
        output.note(f"nasos: note: whether a rotation is open cannot be asked of Vault: {error.message}")
        return
    for past in left:
        past.outcome = OPEN if past.id in known else UNKNOWN


def _doubt(ledger: Path) -> None:
    damages = verify(ledger).damages
    if damages:
        output.note(f"nasos: note: the ledger is not whole: {damages[0].text}")


def _told(past: Past) -> list[str]:
    when = (past.began or past.ended or "")[:19].replace("T", " ")
    took = f"{past.seconds:.1f} s" if past.seconds is not None else "-"
    mark = {"rotated": "✓", OPEN: "…"}.get(past.outcome, "✗")
    lines = [f"{mark} {when}  {past.name:<24} {past.outcome:<11} {took:>8}  by {past.by or '?'}: {past.reason or '?'}"]
    return [*lines, *(f"    {text}" for text in (*past.proofs, *([past.why] if past.why else [])))]
