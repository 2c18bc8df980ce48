"""``nasos rotate keys`` and ``nasos rotate --api``: how old the exchange keys are, and what is to be done about them.

Rules: a look needs no network; ``--probe`` asks the exchange of this stack's bot. Exit 1 when a key should be replaced,
has ended or is refused, or an old one was never proven dead; 3 when a probe could not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.rotate.context import Rotating, rotating
from nasos.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS, ExchangeError, UsageError
from nasos.exchange.key import MOVES_FUNDS, Refused, key_of
from nasos.settings import load

if TYPE_CHECKING:
    from nasos.stack.rotation.key_watch import Watched


@dataclass(frozen=True, slots=True)
class Row:
    """One key, as it is shown."""

    key: Watched
    now: datetime
    old: tuple[str, ...]
    """Endings of keys of before that were not proven dead."""
    probe: str = ""
    """``accepted``, ``refused`` or ``untold``; empty: not asked."""
    said: str = ""

    @property
    def code(self) -> int:
        """The exit code that it deserves."""
        if self.probe == "untold":
            return EXIT_FAILED
        late = self.key.due.at <= self.now
        return EXIT_FINDINGS if late or self.old or self.probe == "refused" else EXIT_CLEAN


@click.command()
@click.option("--probe", is_flag=True, help="Ask the exchange, too: rights, addresses, end. Needs the network.")
@output.json_option
def keys(*, probe: bool, as_json: bool) -> int:
    """The exchange keys of all bots: age, due date, end, rights as last probed, old ones that may still live."""
    with rotating(load()) as at:
        rows = look(at, probe=probe)
    if as_json:
        output.document([document(row) for row in rows])
    else:
        show(rows)
    return max([row.code for row in rows] or [EXIT_CLEAN])


def review(at: Rotating) -> int:
    """Show them without asking anybody, and remind; return the exit code."""
    rows = look(at, probe=False)
    if not rows:
        output.say(f"- bots/{at.stack.settings.bot.name}/exchange: no exchange API key is stored")
    show(rows)
    return max([row.code for row in rows] or [EXIT_CLEAN])


def look(at: Rotating, *, probe: bool) -> list[Row]:
    """All keys; reminders that are due are told.

    Raises:
        VaultError: Vault cannot be asked.
    """
    from nasos.stack.rotation.exchange import name_of
    from nasos.stack.rotation.key_watch import names, remind, watched
    from nasos.stack.rotation.old_keys import old_keys

    rows, now, days = [], datetime.now(UTC), at.stack.settings.rotation.api_key_days
    for name in names(at.engine.store):
        own = name == name_of(at.stack.settings.bot.name)
        answer, said = _probed(at, name, now) if probe and own else ("", "")
        key = watched(at.engine.store, name, days)
        if key is None:
            continue
        remind(at.engine.store, key, at.tell, now)
        old = tuple(old.key.ending for old in old_keys(at.engine.store, name))
        rows.append(Row(key, now, old, answer, said))
    return rows


def _probed(at: Rotating, name: str, now: datetime) -> tuple[str, str]:
    from nasos.stack.rotation import place
    from nasos.stack.rotation.exchange import asking
    from nasos.stack.rotation.key_watch import Known, learn

    try:
        record = at.vault.read(name)
        answer = asking(at.stack)(key_of(record.fields))
    except (ExchangeError, UsageError) as error:
        return "untold", error.message
    if isinstance(answer, Refused):
        return "refused", str(answer)
    learn(at.engine.store, name, Known.of(record.version, place.of(at.stack).exchange, answer, now))
    return "accepted", ""


def show(rows: list[Row]) -> None:
    """For a person."""
    for row in rows:
        key, known = row.key, row.key.known
        mark = "✓" if row.code == EXIT_CLEAN else "✗"
        reason = "the exchange ends it" if key.due.reason == "expiry" else "limit"
        output.say(f"{mark} {key.name}: {(row.now - key.since).days} days old, due {key.due.at:%Y-%m-%d} ({reason})")
        if known.probed:
            bound = {True: "bound to addresses", False: "works from everywhere", None: "addresses not told"}[
                known.bound
            ]
            output.say(f"  may {', '.join(known.rights)}; {bound}; asked on {known.probed:%Y-%m-%d}")
        if set(known.rights) & MOVES_FUNDS:
            output.say("  ! it can take money out: a bot needs a key that trades only")
        if row.probe in {"refused", "untold"}:
            output.say(f"  ✗ the exchange: {row.said}")
        if row.old:
            output.say(f"  ✗ old key not proven dead: {', '.join(row.old)}; delete it at the exchange, then:")
            output.say("    nasos rotate api --old-deleted")
        if key.due.at <= row.now:
            output.say("  make a new key at the exchange, then: nasos rotate api")


def document(row: Row) -> dict[str, object]:
    """As JSON."""
    key, known = row.key, row.key.known
    return {
        "name": key.name,
        "version": key.version,
        "since": key.since,
        "due": key.due.at,
        "reason": key.due.reason,
        "expires": known.expires,
        "probed": known.probed,
        "rights": list(known.rights) if known.probed else None,
        "bound": known.bound,
        "old_alive": list(row.old),
        "probe": row.probe or None,
        "said": row.said or None,
    }
