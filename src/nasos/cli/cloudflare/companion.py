"""``nasos cloudflare companion``: zones that follow containers, until it is told to end.

Rules: the token of ``.env`` comes first, else Vault is asked as the role ``companion``, never as the operator; one
companion per state directory; whatever goes wrong after the start is said, waited for and tried again.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nasos.cli import output
from nasos.cli.cloudflare.target import owner_of, require_extra
from nasos.cli.context import service_connection
from nasos.cli.recorded import tell
from nasos.cloudflare.tokens import RECORDS, token_in
from nasos.errors import EXIT_CLEAN
from nasos.files import ExclusiveLock, private_directory
from nasos.ledger import Outcome
from nasos.settings import Settings, load

if TYPE_CHECKING:
    from nasos.secret import Secret

PLACE = "run/companion"


@click.command()
@click.option("--containers", metavar="WHERE", help="unix:///var/run/docker.sock, or a compose file.")
@click.option("--health", is_flag=True, help="Say whether the companion that runs here is well, and end.")
def companion(containers: str | None, *, health: bool) -> int:
    """Keep the zones as the labels of containers say, until SIGTERM."""
    require_extra()
    settings = load()
    directory = settings.home / PLACE
    if health:
        from nasos.cloudflare.standing import proven

        output.say(proven(directory))
        return EXIT_CLEAN
    _follow(settings, containers, directory)
    return EXIT_CLEAN


@click.command()
@click.option("--socket", default="/var/run/docker.sock", show_default=True, help="The Docker Engine's own socket.")
@click.option("--listen", required=True, help="Where to answer: a path for a unix socket.")
def docker_view(socket: str, listen: str) -> None:
    """Show names, states and labels of containers to whoever must not have the Docker socket, until SIGTERM."""
    require_extra()
    from nasos.cloudflare.docker_view import View

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    with View(Path(listen), Path(socket)) as view, contextlib.suppress(KeyboardInterrupt):
        output.say(f"{listen} shows the containers of {socket}")
        view.serve_forever()


def _follow(settings: Settings, containers: str | None, directory: Path) -> None:
    from nasos.cloudflare.client import Manner
    from nasos.cloudflare.companion import PATIENCE, Companion
    from nasos.cloudflare.feeds import feed_of
    from nasos.cloudflare.site import Site, connected
    from nasos.cloudflare.stop import Stop

    owner = owner_of(settings)
    for place in (settings.home, directory.parent, directory):
        if not place.is_dir():
            private_directory(place)

    def connect(stop: Stop) -> Site:
        return connected(_token(settings), settings.cloudflare, owner, Manner(PATIENCE, 10.0, sleep=stop.sleep))

    def said(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        tell(settings, event, target, outcome, detail)
        words = " ".join(f"{name}: {value}" for name, value in detail.items())
        output.say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {event} {target} {outcome} {words}")

    with Stop() as stop, ExclusiveLock(directory / "lock", "a companion for this directory"):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.ring)
        feed = feed_of(containers or settings.cloudflare.table.containers, settings.project)
        output.say(f"containers: {feed.name}; records of ours: nasos:{owner}")
        Companion(feed, connect, directory, said).run(stop)


def _token(settings: Settings) -> Secret:
    from nasos.vault import VaultClient

    if settings.cloudflare.api_token:
        return settings.cloudflare.api_token
    with VaultClient(service_connection(settings, "companion"), prefix="nasos") as vault:
        return token_in(vault.read(RECORDS).fields, RECORDS)
