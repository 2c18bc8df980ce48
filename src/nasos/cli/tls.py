"""``nasos tls setup | renew | status``: the certificates of the stack."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from nasos.cli.output import document, json_option, note, say
from nasos.cli.recorded import actor, recorded
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, SettingsError
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.stack.edge_certificate import EdgeCertificate
    from nasos.stack.home import Home

_TRUST = "  trust this CA in your browser or client; it can sign for this stack's own names only"
_DONE = click.style("✓", fg="green")


@click.group()
def tls() -> None:
    """Certificates of the stack."""


@tls.command()
@click.option("--mode", type=click.Choice(["dev", "acme", "cloudflare"]), help="Who is to sign the edge's certificate.")
@click.option("--force", is_flag=True, help="New keys and certificates, also where the present ones are good.")
def setup(mode: str | None, force: bool) -> None:  # noqa: FBT001  click passes options by name
    """Issue the certificates that are missing, due or no longer right; safe to repeat.

    Running services pick a new certificate up at once. Who signs the edge's certificate stands in nasos.toml; --mode
    makes sure that it is the one you mean.
    """
    settings = load()
    _require_mode(mode, settings)
    home = _home(settings)
    _development(settings, home, force=force)
    if settings.tls.mode == "acme":
        _acme(settings, home, force=force)
    elif settings.tls.mode == "cloudflare":
        from nasos.cli.cloudflare.origin import behind

        behind(settings, home, force=force, switch=True)
    else:
        from nasos.cli.cloudflare.origin import left

        left(settings, home)
    say(str(home.tls / "ca.pem"))
    if settings.tls.mode != "cloudflare":  # visitors see Cloudflare's own certificate
        note(_TRUST)


@tls.command()
@click.option("--force", is_flag=True, help="Also what is not due yet.")
def renew(force: bool) -> None:  # noqa: FBT001  click passes options by name
    """Renew what is due, now; the stack does so by itself every five minutes.

    A pause after a failure is not waited for; one that the CA asked for is.
    """
    settings = load()
    home = _home(settings)
    _development(settings, home, force=force)
    if settings.tls.mode == "acme":
        _acme(settings, home, force=force)
    elif settings.tls.mode == "cloudflare":
        from nasos.cli.cloudflare.origin import behind

        behind(settings, home, force=force, switch=False)


def _require_mode(mode: str | None, settings: Settings) -> None:
    if mode is None or mode == settings.tls.mode:
        return
    hint = {
        "acme": 'mode = "acme" and hosts under [tls], program under [tls.acme]; docs/tls.md has an example',
        "cloudflare": 'mode = "cloudflare" and hosts under [tls]; docs/cloudflare.md tells the rest',
        "dev": 'mode = "dev" under [tls], then run it again',
    }
    raise SettingsError(f'nasos.toml asks for mode = "{settings.tls.mode}" under [tls]', hint[mode])


def _home(settings: Settings) -> Home:
    from nasos.files import private_directory
    from nasos.stack.home import Home
    from nasos.stack.users import Users

    users = Users.of_this_process()
    users.ensure()
    home = Home(settings.home, users)
    mode = 0o711 if users.separate else 0o700
    private_directory(home.root, mode=mode)
    private_directory(home.tls, mode=mode)
    return home


def _development(settings: Settings, home: Home, *, force: bool) -> None:
    from nasos.stack.certificates import issue

    with recorded(settings, "tls.issue", "all", only_failures=True):
        leaves = issue(home, settings, now=datetime.now(UTC), force=force)
    for leaf in leaves:
        if leaf.service == "edge" and settings.tls.mode != "dev":
            continue  # kept good for the time without another; it is not what was asked for
        done = f"issued ({leaf.reason})" if leaf.issued else "good as it is"
        note(f"{_DONE} {leaf.service:9} {done}, until {leaf.not_after:%Y-%m-%d}")


def _acme(settings: Settings, home: Home, *, force: bool) -> None:
    looked = _edge(settings, home).look(force=force)
    end = f", until {looked.chain.leaf.not_valid_after_utc:%Y-%m-%d}" if looked.chain else ""
    then = f", due {looked.at:%Y-%m-%d}" if looked.at else ""
    done = f"issued by ACME ({looked.reason})" if looked.issued else "by ACME, good as it is"
    note(f"{_DONE} {'edge':9} {done}{end}{then}")


def _edge(settings: Settings, home: Home) -> EdgeCertificate:
    from nasos.stack.acme import maker
    from nasos.stack.edge_certificate import EdgeCertificate
    from nasos.stack.edge_front import EdgeFront

    make = maker(settings.tls.acme, lambda text: note(f"nasos: note: {text}"))
    return EdgeCertificate(home, settings, make, EdgeFront(home, settings), partial(datetime.now, UTC), actor(settings))


@tls.command()
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:  # noqa: FBT001  click passes options by name
    """Names and expiry of each certificate. Exit code 1 when one is missing, wrong or due."""
    from nasos.tls import State, standings

    settings = load()
    directory = settings.home / "tls"
    found = standings(directory, settings.tls, now=datetime.now(UTC))
    good = all(standing.state is State.GOOD for standing in found)
    if as_json:
        document({"ca": str(directory / "ca.pem"), "good": good, "certificates": found})
    for standing in () if as_json else found:
        mark = _DONE if standing.state is State.GOOD else click.style("✗", fg="red")
        until = f"until {standing.not_after:%Y-%m-%d}" if standing.not_after else ""
        say(f"{mark} {standing.service:9} {standing.state:8} {until:17} {', '.join(standing.hosts)}")
        if standing.reason:
            say(f"  {standing.reason}; to mend it: nasos tls {'setup' if standing.issuer == 'dev' else 'renew'}")
    context.exit(EXIT_CLEAN if good else EXIT_FINDINGS)
