"""``nasos rotate``: the flags of the user's document, and what stands behind them.

Rules: nothing waits for a person; progress goes to stderr and, with every step's outcome, into the ledger and
``log/rotate.log``; exit 0 when all was rotated, 1 when something needs attention (a rotation that was taken back, an
exchange key that is too old), 3 when it could not be done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nasos.cli import output
from nasos.cli.recorded import person
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, SecretNotFound, UsageError
from nasos.ledger import Ledger, Outcome
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.rotation.engine import Engine
    from nasos.rotation.run import Result
    from nasos.stack.embedded import Stack
    from nasos.vault import VaultClient

WAIT: Final = 30.0
"""Seconds to wait for another rotator."""


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Database password and JWT secret; a look at the API keys.")
@click.option("--db", is_flag=True, help="The bot's database password.")
@click.option("--jwt", is_flag=True, help="The secrets that sign the bot's logins.")
@click.option("--api", is_flag=True, help="Which exchange API keys should be replaced.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--rollback", metavar="NAME", help="Bring the version before back; as the command rollback.")
@click.pass_context
def rotate(  # noqa: PLR0913  one argument per flag
    context: click.Context, *, everything: bool, db: bool, jwt: bool, api: bool, dry_run: bool, rollback: str | None
) -> int:
    """Rotate secrets: the new one is proven before, the old one proven dead after, and nothing stops."""
    if context.invoked_subcommand:
        return EXIT_CLEAN
    asked = [flag for flag, given in {"--all": everything, "--db": db, "--jwt": jwt, "--api": api}.items() if given]
    if rollback is not None:
        if asked:
            raise UsageError("--rollback stands alone", "nasos rotate --rollback NAME")
        return _roll_back(rollback, None, dry_run=dry_run)
    if not asked:
        raise UsageError("nothing to rotate was named", "nasos rotate --help")
    settings = load()
    bot = f"bots/{settings.bot.name}"
    wanted = [f"{bot}/db"] * (db or everything) + [f"{bot}/jwt"] * (jwt or everything)
    code = EXIT_CLEAN
    with _rotator(settings) as (stack, vault, engine):
        if dry_run:
            _show(engine, wanted)
        else:
            code = max([_ended(engine.rotate(name, actor=person(), reason="asked for")) for name in wanted] or [0])
        if api or everything:
            code = max(code, _review(stack, vault))
    return code


@rotate.command("now")
@click.argument("name")
@click.option("--reason", default="asked for", help="Why, for the ledger.")
def now(name: str, reason: str) -> int:
    """Rotate one secret by its name ("nasos rotate list")."""
    with _rotator(load()) as (_, _, engine):
        return _ended(engine.rotate(name, actor=person(), reason=reason))


@rotate.command("rollback")
@click.argument("name")
@click.option("--to", "version", type=click.IntRange(1), help="Version to bring back; default: the one before.")
def rollback_command(name: str, version: int | None) -> int:
    """Bring a stored version back, with the same proofs as a rotation."""
    return _roll_back(name, version)


@rotate.command("resume")
def resume() -> int:
    """Finish what an earlier run left open."""
    with _rotator(load()) as (_, _, engine):
        results = engine.resume()
    if not results:
        output.say("nothing was left open")
    return max([_ended(result) for result in results] or [EXIT_CLEAN])


@rotate.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """What rotates, and since when each has its present value."""
    with _rotator(load()) as (_, vault, engine):
        rows = [
            {"name": name, "secret": part.name, "version": record.version, "since": record.created.isoformat()}
            for name, unit in engine.units.items()
            for part in unit.parts
            for record in [vault.read(part.name)]
        ]
    if as_json:
        output.document(rows)
        return
    for row in rows:
        output.say(f"{row['name']:24} version {row['version']:<4} since {str(row['since'])[:16].replace('T', ' ')}")


def _roll_back(name: str, version: int | None, *, dry_run: bool = False) -> int:
    with _rotator(load()) as (_, vault, engine):
        if name not in engine.units:
            raise UsageError(f"nothing rotates under the name {name}", f"known: {', '.join(sorted(engine.units))}")
        versions = {part.name: version or _before(vault, part.name) for part in engine.units[name].parts}
        if dry_run:
            output.say(f"{name}: would go back to {', '.join(f'version {number}' for number in versions.values())}")
            return EXIT_CLEAN
        return _ended(engine.rollback(name, versions, actor=person(), reason="rollback"))


def _before(vault: VaultClient, name: str) -> int:
    """The newest version that holds something else than the present one."""
    present = vault.read(name)
    for version in reversed(vault.history(name)):
        if version.number < present.version and not version.deleted and not version.destroyed:
            return version.number
    raise SecretNotFound(f"{name} has no version before the present one", f"nasos secret history {name}")


def _show(engine: Engine, names: Sequence[str]) -> None:
    for name in names:
        parts = ", ".join(part.name for part in engine.units[name].parts)
        output.say(f"{name}: would make a new version of {parts}, prove it, deliver it, and end the old one")


def _ended(result: Result) -> int:
    if not result.failure:
        output.say(f"✓ {result.unit} rotated in {result.seconds:.1f} s: {'; '.join(result.proofs)}")
        return EXIT_CLEAN
    output.say(f"✗ {result.unit} {result.end}: {result.failure}")
    return EXIT_FINDINGS


def _review(stack: Stack, vault: VaultClient) -> int:
    """Exchange keys are replaced by a person, at the exchange; this says when."""
    name, limit = f"bots/{stack.settings.bot.name}/exchange", stack.settings.rotation.api_key_days
    try:
        since = vault.metadata(name).updated
    except SecretNotFound:
        output.say(f"- {name}: no exchange API key is stored")
        return EXIT_CLEAN
    age = datetime.now(UTC) - since
    if age < timedelta(days=limit):
        output.say(f"✓ {name}: {age.days} days old, due at {limit}")
        return EXIT_CLEAN
    output.say(f"✗ {name}: {age.days} days old, due at {limit}")
    output.say(f"  make a new key at the exchange, then: nasos secret set {name} --field api_key --field secret")
    return EXIT_FINDINGS


@contextmanager
def _rotator(settings: Settings) -> Iterator[tuple[Stack, VaultClient, Engine]]:
    """The stack, its Vault as the role ``rotator``, and the engine that tells ledger and log."""
    from nasos.stack.embedded import Stack
    from nasos.stack.rotation import engine

    stack = Stack.existing(settings)
    ledger, log = Ledger(stack.home.ledger, "rotator"), stack.home.log / "rotate.log"

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        ledger.append(event, target, outcome, detail)
        _log(log, f"{event} {target} {outcome} {' '.join(f'{key}={value!r}' for key, value in detail.items())}")

    with stack.vault("rotator") as vault:
        yield stack, vault, engine(stack, vault, tell, wait=WAIT)


def _log(path: Path, text: str) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{stamp} {text}\n".encode())
    finally:
        os.close(fd)
