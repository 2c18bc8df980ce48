"""``nasos rotate``: the flags of the user's document, and a plain word on what is not there yet.

Rules: no secret is touched; the answer is never green (exit 3), so that a cron job cannot believe that it rotates.
"""

from __future__ import annotations

import click

from nasos.errors import Error, UsageError


@click.command()
@click.option("--all", "everything", is_flag=True, help="Database password, JWT secret and a look at the API keys.")
@click.option("--db", is_flag=True, help="The bot's database password.")
@click.option("--jwt", is_flag=True, help="The secret that signs the bot's logins.")
@click.option("--api", is_flag=True, help="Which exchange API keys should be replaced.")
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@click.option("--rollback", metavar="NAME", help="Bring the version before back.")
def rotate(  # noqa: PLR0913  one argument per flag
    *, everything: bool, db: bool, jwt: bool, api: bool, dry_run: bool, rollback: str | None
) -> None:
    """Rotate secrets.

    Not there yet in this version: says so and exits 3. Until then a secret is replaced by hand with
    "nasos secret set", followed by "nasos restart bot".
    """
    chosen = {"--all": everything, "--db": db, "--jwt": jwt, "--api": api, "--rollback": rollback is not None}
    asked = [flag for flag, given in chosen.items() if given]
    if not asked:
        raise UsageError("nothing to rotate was named", "nasos rotate --help")
    if rollback is not None and len(asked) > 1:
        raise UsageError("--rollback stands alone", "nasos rotate --rollback NAME")
    shown = " ".join(asked + ["--dry-run"] * dry_run)
    raise Error(
        f"rotation ({shown}) is not there yet: nothing was changed",
        'replace a secret by hand: "nasos secret set NAME", then "nasos restart bot"',
    )
