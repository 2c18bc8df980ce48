"""``nasos bot import``: an existing freqtrade bot moves in, and can move out again.

Rules: observe, plan, apply; names and paths are printed, values never. Exit codes: 0 done, or nothing to do; 1 done,
and something that looks like a secret was left where it is (``--plan``: there is something to do); 2 and 3 as ever.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nasos.cli.output import note, say
from nasos.cli.recorded import recorded
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, SettingsError, UsageError
from nasos.files import ExclusiveLock, private_directory
from nasos.settings import Settings, bot_name, child_environment, load

if TYPE_CHECKING:
    from nasos.bot.moving.importing import Ground
    from nasos.bot.moving.journal import Desk, Journal
    from nasos.bot.moving.plan import Plan, Trades, Wish
    from nasos.stack.embedded import Stack
    from nasos.stack.trade_database import TradeDatabase
    from nasos.vault import VaultClient


@click.group()
def bot() -> None:
    """Move an existing freqtrade bot in, and back."""


@bot.command("import")
@click.argument("configs", nargs=-1, metavar="CONFIG...", type=click.Path(path_type=Path))
@click.option("--name", metavar="BOT", help="The bot's name here (default: name under [bot] of nasos.toml).")
@click.option(
    "--env", metavar="FILE", type=click.Path(path_type=Path), help="File with FREQTRADE__ variables, as .env."
)
@click.option("--database", metavar="FILE", type=click.Path(path_type=Path), help="The SQLite file with the trades.")
@click.option("--trades", type=click.Choice(["move", "keep", "none"]), default="move", show_default=True,
              help="Move them into PostgreSQL, keep them in SQLite, or begin without any.")  # fmt: skip
@click.option("--stopped", is_flag=True, help="A process that only looks like the old bot is another one.")
@click.option("--plan", "--dry-run", "only_plan", is_flag=True, help="Show what would be done, and stop.")
@click.option("--undo", is_flag=True, help="Put everything back as it was before the import.")
@click.option("--discard-trades", is_flag=True, help="With --undo: also when the new bot traded since.")
@click.option("--confirm", is_flag=True, help="Remove the backup of the originals; no --undo after that.")
@click.pass_context
def import_(  # noqa: PLR0913  one parameter per option, passed by name
    context: click.Context, *, configs: Sequence[Path], name: str | None, env: Path | None, database: Path | None,
    trades: Trades, stopped: bool, only_plan: bool, undo: bool, discard_trades: bool, confirm: bool,
) -> None:  # fmt: skip
    """Move the secrets of a freqtrade configuration into Vault and its trades into PostgreSQL.

    CONFIG are the files that the old bot is started with, in order. Nothing is changed before the plan is complete;
    ended half-way, the same command goes on.
    """
    if undo + confirm + only_plan > 1 or bool(configs) == (undo or confirm):
        raise UsageError("give either CONFIG, --undo or --confirm", "nasos bot import user_data/config.json --plan")
    settings = load()
    with _Moving.opened(settings, bot_name(name or settings.bot.name)) as moving:
        if undo:
            with recorded(settings, "bot.import", moving.bot, {"step": "undo"}, only_failures=True):
                moving.undo(discard=discard_trades)
        elif confirm:
            moving.confirm()
        else:
            from nasos.bot.moving.plan import Wish

            wish = Wish(
                bot=moving.bot, configs=tuple(configs), env=env, database=database, trades=trades, stopped=stopped
            )
            with recorded(
                settings, "bot.import", moving.bot, {"step": "plan" if only_plan else "apply"}, only_failures=True
            ):
                code = moving.bring(wish, only_plan=only_plan)
            context.exit(code)


@dataclass(frozen=True, slots=True)
class _Moving:
    """One bot's move, with everything locked that must not move meanwhile."""

    bot: str
    ground: Ground
    desk: Desk

    @classmethod
    @contextlib.contextmanager
    def opened(cls, settings: Settings, bot: str) -> Iterator[_Moving]:
        """Hold the locks: one import at a time, and the new bot stands still."""
        from nasos.bot.moving.journal import Desk
        from nasos.cli.context import operator_client

        place = settings.home / "import"
        if not settings.home.is_dir():
            raise SettingsError(f"there is no stack in {settings.home}", "./nasos up")
        private_directory(place)
        with (
            ExclusiveLock(place / "lock", "an import"),
            _stopped_here(settings.home / "run" / "bot", bot),
            operator_client(settings=settings) as vault,
        ):
            yield cls(bot, _ground(settings, bot, vault), Desk(place / bot))

    def bring(self, wish: Wish, *, only_plan: bool) -> int:
        """Plan, and unless that was all, apply."""
        from nasos.bot.moving.importing import apply, look, require_possible

        plan = look(self.ground, self.desk, wish)
        journal = self.desk.load()
        if journal is not None and journal.state == "done":
            note(f'the bot "{self.bot}" is imported already; --confirm removes the originals, --undo puts them back')
            return EXIT_CLEAN
        _show(plan)
        if plan.nothing:
            note("nothing to do: no secret in these files, and no trades to move")
            return EXIT_FINDINGS if plan.findings else EXIT_CLEAN
        if only_plan:
            require_possible(self.ground, plan) if journal is None else None
            return EXIT_FINDINGS
        _after(apply(self.ground, self.desk, plan), plan)
        return EXIT_FINDINGS if plan.findings else EXIT_CLEAN

    def undo(self, *, discard: bool) -> None:
        """Back to the old installation."""
        from nasos.bot.moving.importing import undo

        for text in undo(self.ground, self.desk, discard=discard):
            note(f"note: {text}")
        note("everything is as it was before the import")

    def confirm(self) -> None:
        """No way back."""
        from nasos.bot.moving.importing import confirm

        confirm(self.ground, self.desk)
        note("the originals are removed; what lay in plain text on this disk may still be in backups of it:")
        note("make new keys at the exchange when you can, and store them with nasos secret set")


def _show(plan: Plan) -> None:
    for step in plan.steps():
        say(f"  {step}")
    for remark in plan.remarks:
        say(f"  note: {remark}")
    for finding in plan.findings:
        say(f"  finding: {finding}")


def _after(journal: Journal, plan: Plan) -> None:
    name, last = journal.bot, plan.wish.configs[-1].absolute()
    note(f'\nthe bot "{name}" is moved in. Name it in nasos.toml, with the strategy that it had, and run ./nasos up:')
    note(f'  [bot]\n  name = "{name}"\n  exchange = "config"\n  config = "{last}"')
    if os.geteuid() != 0:  # a stack of root's has a user for its bots, who does not stand in the operator's directory
        files = " ".join(f"-c {path}" for path in plan.wish.configs)
        note(f"or start it in its own place:\n  nasos run --bot {name} -- freqtrade trade {files}")
    note("when it trades as it should:")
    note(f"  nasos bot import --confirm --name {name}     removes the originals, which still hold your secrets")
    note(f"  nasos bot import --undo --name {name}        puts everything back")


@contextlib.contextmanager
def _stopped_here(directory: Path, bot: str) -> Iterator[None]:
    """Hold the new bot's own lock, so that it cannot be started meanwhile; refused while it runs."""
    if not directory.is_dir():
        private_directory(directory)
    path = directory / f"{bot}.lock"
    if not path.exists():
        # The bot may have a user of its own, who must be able to open its lock later.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if os.geteuid() == 0:
            os.chown(path, directory.stat().st_uid, directory.stat().st_gid)
    with ExclusiveLock(path, f'the bot "{bot}"'):
        yield


def _ground(settings: Settings, bot: str, vault: VaultClient) -> Ground:
    from nasos.bot.moving.converter import Converter
    from nasos.bot.moving.importing import Ground
    from nasos.cli.recorded import tell

    return Ground(
        vault=vault,
        target=_target(settings, bot, vault),
        convert=Converter(
            python=settings.bot_python(),
            login=lambda: vault.read(f"bots/{bot}/db"),
            environment=child_environment(),
            readable=(settings.home / "tls" / "ca.pem",),
        ),
        append=partial(tell, settings),
        say=note,
        here=Path.cwd(),
    )


def _target(settings: Settings, bot: str, vault: VaultClient) -> TradeDatabase | None:
    """The embedded PostgreSQL; None where there is none."""
    from nasos.stack import postgres
    from nasos.stack.embedded import Stack
    from nasos.stack.home import Home
    from nasos.stack.trade_database import TradeDatabase
    from nasos.stack.users import Users

    if Home(settings.home, Users.of_this_process()).record() is None:
        return None
    stack = Stack.existing(settings)
    admin = postgres.admin_login(vault)

    def make_ready() -> None:
        postgres.provision(stack.database, admin, bot, postgres.bot_login(vault, bot))
        _ensure_role(settings, stack, bot)

    return TradeDatabase(stack.database, admin, bot, make_ready)


def _ensure_role(settings: Settings, stack: Stack, bot: str) -> None:
    """The bot's own Vault role and credential, beside those of the configured bot."""
    from nasos.stack.bootstrap import desired, owners
    from nasos.vault.bootstrap import Files, bootstrap
    from nasos.vault.client import VaultApi

    if (stack.home.credentials / f"bot-{bot}.json").exists():
        return
    from dataclasses import replace

    wanted = desired(settings, stack.home.users)
    with contextlib.closing(VaultApi(stack.vault_address, stack.ca_file)) as api:
        bootstrap(
            api,
            replace(
                wanted,
                bots=tuple(dict.fromkeys((*wanted.bots, bot))),
                owners={**wanted.owners, **owners(stack.home.users, [bot])},
            ),
            Files.below(stack.home.root),
            ledger=stack.ledger(),
            now=datetime.now(UTC),
        )
