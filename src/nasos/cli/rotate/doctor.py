"""``nasos rotate doctor | rehearse``: whether what is stored works, and whether a rotation would."""

from __future__ import annotations

import click

from nasos.cli import output
from nasos.cli.rotate.context import rotating
from nasos.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS, CandidateRejected, UsageError
from nasos.settings import load

_MARKS = {"sound": "✓", "mended": "✓", "untried": "-", "drifted": "✗", "unknown": "?"}


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Look, and mend nothing.")
@output.json_option
def doctor(names: tuple[str, ...], *, dry_run: bool, as_json: bool) -> int:
    """Log in with every stored credential, try those of before, and mend what drifted.

    After a database or a Vault was restored, or a role was changed by hand. Exit code 1: something drifted and is not
    mended; 3: something could not be asked.
    """
    with rotating(load()) as at:
        units = names or tuple(at.engine.units)
        found = [it for name in units for it in at.engine.examine(name, mend=not dry_run)]
    if as_json:
        output.document([{"name": it.unit, "health": it.health.value, "what": it.what} for it in found])
    else:
        for it in found:
            what = it.what.removeprefix(f"{it.unit}: ")
            output.say(f"{_MARKS[it.health]} {it.unit}: {what}{' (mended)' * (it.health == 'mended')}")
    healths = {it.health.value for it in found}
    return EXIT_FINDINGS if "drifted" in healths else EXIT_FAILED if "unknown" in healths else EXIT_CLEAN


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def rehearse(names: tuple[str, ...]) -> int:
    """Try a rotation out on what is nobody's; says which right is missing."""
    code = EXIT_CLEAN
    with rotating(load()) as at:
        unknown = [name for name in names if name not in at.engine.units]
        if unknown:
            raise UsageError(f"nothing rotates under the name {unknown[0]}", "nasos rotate list")
        for name in names:
            try:
                output.say(f"✓ {name} can rotate: {'; '.join(at.engine.rehearse(name))}")
            except CandidateRejected as error:
                output.say(f"✗ {name} cannot rotate: {error.message}")
                code = EXIT_FINDINGS
    return code
