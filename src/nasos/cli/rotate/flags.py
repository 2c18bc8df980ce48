"""``nasos rotate``: the flags of the user's document.

Rules: nothing waits for a person; exit 0 when all was rotated, 1 when something needs attention (a rotation that was
taken back, an exchange key that is too old), 3 when it could not be done.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from nasos.cli import output
from nasos.cli.recorded import person
from nasos.cli.rotate.context import Rotating, ended, rotating
from nasos.cli.rotate.keys import review
from nasos.cli.rotate.timetable import local, look
from nasos.cli.rotate.units import roll_back
from nasos.errors import EXIT_CLEAN, UsageError
from nasos.settings import load


class _Flags(click.Group):
    """Somebody who leaves the dashes out is told of them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; a flag's name is no command."""
        if args[0] in {"all", "db", "jwt"}:
            raise UsageError(f"{args[0]} is a flag here, not a command", f"nasos rotate --{args[0]}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Flags, invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Database password and JWT secret; a look at the API keys.")
@click.option("--db", is_flag=True, help="The bot's database password.")
@click.option("--jwt", is_flag=True, help="The secrets that sign the bot's logins.")
@click.option("--api", is_flag=True, help="Which exchange API keys should be replaced.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--now", "urgent", is_flag=True, help="The bot takes it up at once, also inside an order.")
@click.option("--leaked", is_flag=True, help="As --now; and the old values are destroyed, with every one before them.")
@click.option("--progress", is_flag=True, help="Say each step on standard error, also where that is no terminal.")
@click.option("--rollback", metavar="NAME", help="Bring the version before back; as the command rollback.")
@click.pass_context
def rotate(  # noqa: PLR0913  one argument per flag
    context: click.Context,
    *,
    everything: bool,
    db: bool,
    jwt: bool,
    api: bool,
    dry_run: bool,
    urgent: bool,
    leaked: bool,
    progress: bool,
    rollback: str | None,
) -> int:
    """Rotate secrets: the new one is proven before, the old one proven dead after, and nothing stops."""
    if context.invoked_subcommand:
        return EXIT_CLEAN
    asked = [flag for flag, given in {"--all": everything, "--db": db, "--jwt": jwt, "--api": api}.items() if given]
    if rollback is not None:
        if asked or urgent or leaked:
            raise UsageError("--rollback stands alone", "nasos rotate --rollback NAME")
        return roll_back(rollback, None, dry_run=dry_run)
    if not asked:
        raise UsageError("nothing to rotate was named", "nasos rotate --help")
    settings = load()
    bot = f"bots/{settings.bot.name}"
    wanted = [f"{bot}/db"] * (db or everything) + [f"{bot}/jwt"] * (jwt or everything)
    code = EXIT_CLEAN
    with rotating(settings, progress=progress) as at:
        if dry_run:
            _show(at, wanted)
        else:
            reason = "leaked" if leaked else "asked for"
            for name in wanted:
                result = at.engine.rotate(name, actor=person(), reason=reason, urgent=urgent, leaked=leaked)
                code = max(code, ended(result))
        if api or everything:
            code = max(code, review(at))
    return code


def _show(at: Rotating, names: Sequence[str]) -> None:
    lines = {line.name: line for line in look(at).lines()}
    for name in names:
        parts = ", ".join(part.name for part in at.engine.units[name].parts)
        output.say(f"{name}: would make a new version of {parts}, prove it, deliver it, and end the old one")
        output.say(f"  since {local(lines[name].since)}; by the timetable {local(lines[name].next)}")
