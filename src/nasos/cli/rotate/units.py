"""``nasos rotate now | rollback | resume | list``: single units, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.recorded import person
from nasos.cli.rotate.context import ended, rotating
from nasos.errors import EXIT_CLEAN, SecretDeleted, SecretNotFound, UsageError
from nasos.settings import load

if TYPE_CHECKING:
    from nasos.vault import VaultClient
    from nasos.vault.store import Record


@click.command()
@click.argument("name")
@click.option("--reason", default="asked for", help="Why, for the ledger.")
@click.option("--now", "urgent", is_flag=True, help="The bot takes it up at once, also inside an order.")
@click.option("--leaked", is_flag=True, help="As --now; and the old value is destroyed, with every one before it.")
def now(name: str, reason: str, *, urgent: bool, leaked: bool) -> int:
    """Rotate one secret by its name ("nasos rotate list")."""
    with rotating(load()) as at:
        return ended(at.engine.rotate(name, actor=person(), reason=reason, urgent=urgent, leaked=leaked))


@click.command()
@click.argument("name")
@click.option("--to", "version", type=click.IntRange(1), help="Version to bring back; default: the one before.")
def rollback(name: str, version: int | None) -> int:
    """Bring a stored version back, with the same proofs as a rotation."""
    return roll_back(name, version)


@click.command()
def resume() -> int:
    """Finish what an earlier run left open."""
    with rotating(load()) as at:
        results = at.engine.resume()
    if not results:
        output.say("nothing was left open")
    return max([ended(result) for result in results] or [EXIT_CLEAN])


@click.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """What rotates, and since when each has its present value."""
    with rotating(load()) as at:
        rows: list[dict[str, object]] = [
            {"name": name, "secret": part.name, "version": record.version, "since": record.created.isoformat()}
            for name, unit in at.engine.units.items()
            for part in unit.parts
            for record in _stored(at.vault, part.name)
        ]
        for name, procedure in at.engine.procedures.items():
            since = procedure.since()
            rows.append({"name": name, "secret": None, "version": None, "since": since.isoformat() if since else None})
    if as_json:
        output.document(rows)
        return
    for row in rows:
        version = f"version {row['version']}" if row["version"] else ""
        output.say(f"{row['name']:24} {version:12} since {str(row['since'])[:16].replace('T', ' ')}")


def _stored(vault: VaultClient, name: str) -> list[Record]:
    """The present version; none where nothing was stored yet, or nothing is any more."""
    try:
        return [vault.read(name)]
    except (SecretNotFound, SecretDeleted):
        return []


def roll_back(name: str, version: int | None, *, dry_run: bool = False) -> int:
    """Bring ``version`` of a unit back, or the one before; return the exit code.

    Raises:
        UsageError: Nothing rotates under that name.
        SecretNotFound: There is nothing to go back to.
        Error: As `Engine.rollback`.
    """
    with rotating(load()) as at:
        if name in at.engine.procedures:
            raise UsageError(f"{name} keeps no old version: there is no way back", f"nasos rotate now {name}")
        if name not in at.engine.units:
            raise UsageError(f"nothing rotates under the name {name}", f"known: {', '.join(sorted(at.engine.units))}")
        versions = {part.name: version or _before(at.vault, part.name) for part in at.engine.units[name].parts}
        if dry_run:
            output.say(f"{name}: would go back to {', '.join(f'version {number}' for number in versions.values())}")
            return EXIT_CLEAN
        return ended(at.engine.rollback(name, versions, actor=person(), reason="rollback"))


def _before(vault: VaultClient, name: str) -> int:
    """The newest version that holds something else than the present one."""
    present = vault.read(name)
    for version in reversed(vault.history(name)):
        if version.number < present.version and not version.deleted and not version.destroyed:
            return version.number
    raise SecretNotFound(f"{name} has no version before the present one", f"nasos secret history {name}")
