"""``nasos tls setup | status``: the certificates of the stack."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from nasos.cli.output import document, json_option, note, say
from nasos.cli.recorded import recorded
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS
from nasos.settings import load


@click.group()
def tls() -> None:
    """Certificates of the stack."""


@tls.command()
@click.option("--force", is_flag=True, help="New keys and certificates, also where the present ones are good.")
def setup(force: bool) -> None:  # noqa: FBT001  click passes options by name
    """Issue the development certificates that are missing, due or no longer right; safe to repeat.

    Running services pick a new certificate up at once.
    """
    from nasos.files import private_directory
    from nasos.stack.certificates import issue
    from nasos.stack.home import Home
    from nasos.stack.users import Users

    settings, users = load(), Users.of_this_process()
    users.ensure()
    home = Home(settings.home, users)
    mode = 0o711 if users.separate else 0o700
    private_directory(home.root, mode=mode)
    private_directory(home.tls, mode=mode)
    with recorded(settings, "tls.issue", "all", only_failures=True):
        leaves = issue(home, settings, now=datetime.now(UTC), force=force)
    for leaf in leaves:
        done = f"issued ({leaf.reason})" if leaf.issued else "good as it is"
        note(f"{click.style('✓', fg='green')} {leaf.service:9} {done}, until {leaf.not_after:%Y-%m-%d}")
    say(str(home.tls / "ca.pem"))
    note("  trust this CA in your browser or client; it can sign for this stack's own names only")


@tls.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:  # noqa: FBT001  click passes options by name
    """Names and expiry of each certificate. Exit code 1 when one is missing, wrong or due."""
    from nasos.tls import State, standings

    settings = load()
    directory = settings.home / "tls"
    found = standings(directory, settings.tls.hosts, now=datetime.now(UTC))
    good = all(standing.state is State.GOOD for standing in found)
    if as_json:
        document({"ca": str(directory / "ca.pem"), "good": good, "certificates": found})
    for standing in () if as_json else found:
        mark = click.style("✓", fg="green") if standing.state is State.GOOD else click.style("✗", fg="red")
        until = f"until {standing.not_after:%Y-%m-%d}" if standing.not_after else ""
        say(f"{mark} {standing.service:9} {standing.state:8} {until:17} {', '.join(standing.hosts)}")
        if standing.reason:
            say(f"  {standing.reason}; to mend it: nasos tls setup")
    context.exit(EXIT_CLEAN if good else EXIT_FINDINGS)
