"""``nasos tls setup --mode cloudflare``: from development certificates to Cloudflare in front; and the way back.

Rules: each step is said when it is done, with what it was proven by; a step that fails says what to do, leaves what was
good before in use, and the next run goes on there. The way back asks Cloudflare nothing: it has to work when Cloudflare
does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from nasos.cli.cloudflare.target import require_extra, zone_client_of
from nasos.cli.cloudflare.zone import applied
from nasos.cli.output import note
from nasos.cli.recorded import actor, recorded
from nasos.errors import CloudflareError, SettingsError, TlsError
from nasos.settings import Settings

if TYPE_CHECKING:
    from nasos.cloudflare.answers import Zone
    from nasos.cloudflare.client import Client
    from nasos.stack.home import Home
    from nasos.stack.origin.switch import Switch

_DONE = click.style("✓", fg="green")
_BACK: Final = 'mode = "dev" under [tls] in nasos.toml, then ./nasos tls setup --mode dev'


def behind(settings: Settings, home: Home, *, force: bool, switch: bool) -> None:
    """Certificate, addresses and client certificate; with ``switch`` also the zone, and nobody else gets in.

    Raises:
        Error: A step failed; what was good before is in use.
    """
    require_extra()
    from nasos.cloudflare.site import zones_of
    from nasos.stack.rotator import told

    if home.record() is None:
        raise SettingsError("there is no stack here yet", "./nasos up, then run it again")
    with zone_client_of(settings) as client, _said_on_failure(switch=switch):
        at = zones_of(client, settings.cloudflare)[0]
        way = _way(settings, home, client, at)
        way.begin()
        _certificate(settings, home, client, at, force=force)
        with recorded(settings, "cloudflare.origin", at.name):
            way.addresses()
            way.client_certificate()
        if switch:
            _strict(settings, client, at)
            with recorded(settings, "cloudflare.origin", at.name, {"required": ", ".join(settings.tls.hosts)}):
                way.require()
    if told.anew(home, settings):
        _say("rotator: started anew; it keeps certificate, addresses and client certificate up by itself")
    if switch:
        note("  look: ./nasos check cloudflare")
        note(f"  back: {_BACK}")


def left(settings: Settings, home: Home) -> None:
    """The way back: the development certificate again, and everybody gets in.

    Raises:
        TlsError: nginx refuses that; what it did before it does still.
    """
    from nasos.files import ExclusiveLock
    from nasos.stack.certificates import show_the_right_one
    from nasos.stack.origin.memory import forget, known
    from nasos.stack.rotator import told

    if not known(home):
        show_the_right_one(home, settings)
        return
    with ExclusiveLock(home.root / "renew.lock", "a renewal of the edge's certificate"):
        # Forgotten first: a rotator that has not heard of it yet does nothing more.
        forget(home)
        show_the_right_one(home, settings)
    told.anew(home, settings)
    with recorded(settings, "cloudflare.origin", "edge", {"left": ", ".join(settings.tls.hosts)}):
        _say("edge: the development certificate again; nginx answers everybody, and asks for no client certificate")
    note("! at Cloudflare nothing was changed: a zone that is strict answers visitors with 526 now. Either")
    note('    take Cloudflare out of the way: the record without proxy (cloudflare.proxied: "false"), or')
    note("    have it accept the certificate: SSL/TLS, Overview, Full (not strict), in its dashboard")
    note('  there again: mode = "cloudflare" under [tls], then ./nasos tls setup --mode cloudflare')


def _way(settings: Settings, home: Home, client: Client, at: Zone) -> Switch:
    from nasos.stack.edge_front import EdgeFront
    from nasos.stack.origin.switch import Switch
    from nasos.stack.origin.visit import reach

    record, front = home.record(), EdgeFront(home, settings)
    port = record.ports.https if record else 443
    return Switch(
        home=home, settings=settings, client=client, zone=at, front=front,
        reach=lambda host, path: reach(host, path, port), knock=front.knock, say=_say,
    )  # fmt: skip


@contextlib.contextmanager
def _said_on_failure(*, switch: bool) -> Iterator[None]:
    """What stands, for somebody who sees an error in the middle of the way."""
    try:
        yield
    except (CloudflareError, TlsError):
        if switch:
            note("! stopped: what is ticked off stands, nothing else was changed; the same command goes on from here")
        raise


def _strict(settings: Settings, client: Client, at: Zone) -> None:
    end = applied(settings, client, at)
    for each in end.refused:
        note(f"! {each.change.what}: {each.error.message}")
    for left_open in end.left.notes:
        note(f"{'!' if left_open.wrong else '-'} {left_open.what}: {left_open.why}")
    changed = f"{len(end.done)} changes" if end.done else "nothing to change"
    if end.left.clean and not end.refused:
        _say(f"zone: {at.name} is as it should be ({changed}), read again")
    else:
        note(
            f"! zone: {at.name} is as it should be in part only ({changed}); ./nasos cloudflare zone apply tries again"
        )


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
    _say(f"edge: {'issued by Cloudflare, shown by nginx' if looked.issued else 'by Cloudflare, good as it is'}{end}")


def _say(text: str) -> None:
    note(f"{_DONE} {text}")
