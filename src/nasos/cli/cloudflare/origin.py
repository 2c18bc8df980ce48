"""``nasos tls setup --mode cloudflare``: from development certificates to Cloudflare in front, and nobody else.

Rules: each step is said when it is done; a step that fails says what to do, leaves what was good before in use, and the
next run goes on there.
"""

from __future__ import annotations

import http.client
import ssl
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from nasos.cli.cloudflare.target import require_extra, zone_client_of
from nasos.cli.cloudflare.zone import applied
from nasos.cli.output import note
from nasos.cli.recorded import actor, recorded
from nasos.errors import SettingsError, TlsError
from nasos.settings import Settings

if TYPE_CHECKING:
    from nasos.cloudflare.answers import Zone
    from nasos.cloudflare.client import Client
    from nasos.stack.home import Home

SECONDS: Final = 20.0
_DONE = click.style("✓", fg="green")


def behind(settings: Settings, home: Home, *, force: bool, switch: bool) -> None:
    """Certificate, addresses and client certificate; with ``switch`` also the zone, and nobody else gets in.

    Raises:
        Error: A step failed; what was good before is in use.
    """
    require_extra()
    from nasos.cloudflare.site import zones_of
    from nasos.stack.edge_front import EdgeFront
    from nasos.stack.origin.switch import Switch

    if home.record() is None:
        raise SettingsError("there is no stack here yet", "./nasos up, then run it again")
    with zone_client_of(settings) as client:
        at = zones_of(client, settings.cloudflare)[0]
        way = Switch(
            home=home,
            settings=settings,
            client=client,
            zone=at,
            front=EdgeFront(home, settings),
            reach=_reach,
            say=_say,
        )
        way.begin()
        _certificate(settings, home, client, at, force=force)
        with recorded(settings, "cloudflare.origin", at.name):
            way.addresses()
            way.client_certificate()
        if not switch:
            return
        end = applied(settings, client, at)
        for each in end.refused:
            note(f"! {each.change.what}: {each.error.message}")
        for left in end.left.notes:
            note(f"{'!' if left.wrong else '-'} {left.what}: {left.why}")
        _say(f"the zone {at.name} is strict" if not end.refused else "the zone, as far as it could be")
        with recorded(settings, "cloudflare.origin", at.name, {"required": ", ".join(settings.tls.hosts)}):
            way.require()


def _certificate(settings: Settings, home: Home, client: Client, at: Zone, *, force: bool) -> None:
    from nasos.stack.edge_certificate import EdgeCertificate
    from nasos.stack.edge_front import EdgeFront
    from nasos.stack.origin.issuer import OriginCa

    issuer, front = OriginCa(client, at), EdgeFront(home, settings)
    look = EdgeCertificate(
        home,
        settings,
        lambda _account, _replaces: issuer,
        front,
        partial(datetime.now, UTC),
        actor(settings),
        issuer.retire,
    )
    looked = look.look(force=force)
    end = f", until {looked.chain.leaf.not_valid_after_utc:%Y-%m-%d}" if looked.chain else ""
    _say(f"edge {'issued by Cloudflare' if looked.issued else 'by Cloudflare, good as it is'}{end}")


def _reach(host: str, path: str) -> None:
    """As a visitor does: by the public name, verified by the public roots; what the answer is does not matter."""
    try:
        connection = http.client.HTTPSConnection(host, timeout=SECONDS, context=ssl.create_default_context())
        connection.request("GET", path)
        connection.getresponse().read(1 << 16)
        connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise TlsError(
            f"https://{host} does not answer through Cloudflare ({type(error).__name__})",
            f"is {host} a proxied record that leads here? ./nasos cloudflare plan",
        ) from None


def _say(text: str) -> None:
    note(f"{_DONE} {text}")
