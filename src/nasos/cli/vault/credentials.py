"""``nasos vault credentials list | renew``: secret zero, file by file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import click
import msgspec

from nasos.cli.output import document, json_option, note, say
from nasos.cli.vault.target import Target
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, Error, UsageError
from nasos.files import ExclusiveLock
from nasos.ledger import Outcome
from nasos.vault.credentials import Credentials, Standing, State
from nasos.vault.renewal import LONGEST_WAIT, Renewal
from nasos.vault.roles import Role
from nasos.vault.secret_ids import OVERLAP


@click.group()
def credentials() -> None:
    """The files with which services log in to Vault: RoleID and SecretID."""


_roles = click.option("--role", "names", multiple=True, metavar="ROLE", help="Only this one; may be repeated.")


class Row(msgspec.Struct, frozen=True):
    """One line of ``nasos vault credentials list``."""

    role: str
    file: str
    state: State
    created: datetime | None
    expires: datetime | None
    older: int
    """Earlier SecretIDs of this file that still work."""


@credentials.command("list")
@_roles
@json_option
@click.pass_context
def list_(context: click.Context, names: tuple[str, ...], *, as_json: bool) -> None:
    """Age and end of each credential. Exit code 1 when one is missing, refused or near its end."""
    target = Target.configured()
    roles = _chosen(target, names)
    with _renewal(target) as renewal:
        standings = renewal.standings(roles)
    rows = [_row(target, role, standings[role.name]) for role in roles]
    if as_json:
        document(rows)
    for row in () if as_json else rows:
        mark = click.style("✓", fg="green") if row.state is State.GOOD else click.style("✗", fg="red")
        life = f"of {row.created:%Y-%m-%d}, until {row.expires:%Y-%m-%d}" if row.created and row.expires else ""
        say(f"{mark} {row.role:12} {row.state:22} {life}".rstrip())
        if row.older:
            say(f"  {row.older} older still logs in; after its overlap the next renew, or nasos up, ends it")
    context.exit(EXIT_CLEAN if all(row.state is State.GOOD for row in rows) else EXIT_FINDINGS)


@credentials.command()
@_roles
@click.option("--older-than", type=click.IntRange(0), metavar="DAYS", help="Leave those alone that are younger.")
@click.option("--overlap", type=click.IntRange(0), default=int(OVERLAP.total_seconds()), show_default=True,
              metavar="SECONDS", help="How long the old ones go on working.")  # fmt: skip
@json_option
def renew(names: tuple[str, ...], older_than: int | None, overlap: int, *, as_json: bool) -> None:
    """Replace SecretIDs: new ones proven by a login, files replaced, old ones destroyed and proven dead.

    Killed half-way, every file holds one that works, and the next run ends what is left. An overlap of more than a
    minute is not waited for: the next run after it, or the next "nasos up", ends the old ones.
    """
    target = Target.configured()
    roles, age = _chosen(target, names), None if older_than is None else timedelta(days=older_than)
    ledger = target.prepare()
    with ExclusiveLock(target.files.lock, "the bootstrap of vault"), _renewal(target) as renewal:
        try:
            done = renewal.run(roles, older_than=age, overlap=timedelta(seconds=overlap))
        except Error as error:
            ledger.append("vault.credential", renewal.api.address, Outcome.FAILED, {"error": type(error).__name__})
            raise
        for each in done:
            if each.replaced or each.ended:
                detail = {"replaced": str(each.replaced).lower(), "ended": str(each.ended), "left": str(each.left)}
                ledger.append("vault.credential", f"credentials/{each.role}.json", detail=detail)
    if as_json:
        document(done)
        return
    replaced, left = sum(each.replaced for each in done), sum(each.left for each in done)
    say(f"{replaced} of {len(done)} credentials replaced, {sum(each.ended for each in done)} old SecretIDs ended")
    if left and timedelta(seconds=overlap) > LONGEST_WAIT:
        note(f"  {left} old ones go on working for {overlap} s; the next run after that, or nasos up, ends them")


@contextmanager
def _renewal(target: Target) -> Iterator[Renewal]:
    files = Credentials(target.files.credentials, target.desired.owners)
    with closing(target.api()) as api, target.authority(api) as token:
        yield Renewal(api, token, files, datetime.now(UTC), tell=lambda text: note(f"  {text}"))


def _chosen(target: Target, names: tuple[str, ...]) -> tuple[Role, ...]:
    known = {role.name: role for role in target.desired.roles}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"there is no role {unknown[0]}", f"one of: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(known.values())


def _row(target: Target, role: Role, standing: Standing) -> Row:
    current = standing.current
    return Row(
        role=role.name,
        file=str(target.files.credentials / f"{role.name}.json"),
        state=standing.state,
        created=current.created if current else None,
        expires=current.expires if current else None,
        older=len(standing.others),
    )
