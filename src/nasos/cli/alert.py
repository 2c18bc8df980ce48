"""``nasos alert``: where alerts go, and whether they arrive.

Rules: a URL holds a token: it comes from a hidden prompt or from stdin, never from argv, and is never shown again; it
must be one that apprise understands before it is stored. Kept in Vault at ``alerts/<name>``, read by the watcher.
"""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime

import click

from nasos.cli import output
from nasos.cli.context import operator_client
from nasos.cli.recorded import tell
from nasos.errors import EXIT_CLEAN, EXIT_FINDINGS, NameRefused, PlatformUnsupported, SecretNotFound, UsageError
from nasos.ledger import Outcome
from nasos.notify import Channel, Delivery, Notice, deliver
from nasos.secret import Secret
from nasos.settings import load
from nasos.stack.users import Users
from nasos.stack.watcher.channels import FIELD, FOLDER, read
from nasos.vault import VaultClient
from nasos.vault.names import secret_path

_LONGEST = 4096  # characters of a URL


@click.group()
def alert() -> None:
    """Where alerts go: mail, Telegram, Matrix and a hundred other services, by apprise URL."""


@alert.command()
@click.argument("name")
@output.json_option
def add(name: str, *, as_json: bool) -> None:
    """Add a channel, or give it another URL: asked for without echo, or read from stdin.

    The URL is apprise's: tgram://TOKEN/CHAT, mailtos://USER:PASSWORD@HOST, json://HOST/PATH ...
    """
    url = _asked(_checked(name))
    with operator_client() as client:
        version = client.write(f"{FOLDER}/{name}", {FIELD: url})
        client.set_metadata(f"{FOLDER}/{name}", {"service": url.reveal().partition(":")[0]})
    if as_json:
        output.document({"name": name, "version": version})
    else:
        output.note(f'alerts go to {name} from now on; "nasos alert test" tries it')


@alert.command("list")
@output.json_option
def list_(*, as_json: bool) -> None:
    """Show the channels and the service of each; never a URL."""
    with operator_client() as client:
        rows = [{"name": name, "service": service} for name, service in _known(client)]
    if as_json:
        output.document(rows)
    for row in () if as_json else rows:
        output.say(f"{row['name']}  {row['service']}")
    if not rows:
        output.note("nobody is told: nasos alert add NAME")


@alert.command()
@click.argument("name")
def rm(name: str) -> None:
    """Take a channel away; "nasos secret restore alerts/NAME" brings it back."""
    with operator_client() as client:
        if _checked(name) not in dict(_known(client)):
            raise SecretNotFound(f"there is no channel {name}", "nasos alert list")
        client.delete(f"{FOLDER}/{name}")
    output.note(f"nothing goes to {name} any more")


@alert.command()
@click.option("--channel", "name", metavar="NAME", help="Only this one.")
@output.json_option
def test(name: str | None, *, as_json: bool) -> int:
    """Send a test alert through every channel and say which arrived. Exit code 1 when one did not."""
    settings = load()
    with operator_client(settings=settings) as client:
        channels = [channel for channel in read(client) if name in {None, channel.name}]
    if not channels:
        raise UsageError(f"there is no channel {name}" if name else "there is no channel", "nasos alert add NAME")
    answers = _sent(channels)
    arrived = all(answer.delivered for answer in answers)
    detail = {answer.channel: answer.reason or "delivered" for answer in answers}
    outcome = Outcome.OK if arrived else Outcome.FAILED
    tell(settings, "alert.test", " ".join(channel.name for channel in channels), outcome, detail)
    if as_json:
        output.document(answers)
    for answer in () if as_json else answers:
        mark = click.style("✓", fg="green") if answer.delivered else click.style("✗", fg="red")
        output.say(f"{mark} {answer.channel}  {answer.reason or 'delivered'}")
    return EXIT_CLEAN if arrived else EXIT_FINDINGS


def _sent(channels: list[Channel]) -> list[Delivery]:
    moment = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    notice = Notice("", "nasos: test alert", f"Somebody ran: nasos alert test\nat: {moment} on {socket.gethostname()}")
    return deliver(channels, notice, user=_sender())


def _sender() -> int | None:
    try:
        return Users.of_this_process().uid("alerts")
    except KeyError:  # root, but no stack was ever started here
        return 65534  # nobody


def _checked(name: str) -> str:
    if "/" in name or secret_path(name) != name:
        raise NameRefused(f"a channel's name is one word, not {name!r}", "nasos alert add phone")
    return name


def _asked(name: str) -> Secret:
    if sys.stdin.isatty():
        text = str(click.prompt(f"apprise URL of {name}", hide_input=True, err=True))
    else:
        text = sys.stdin.readline(_LONGEST + 1)
    url = text.strip()
    if not url or len(url) > _LONGEST:
        raise UsageError("no URL was given; nothing was stored", "https://appriseit.com shows the URL of each service")
    if not _understood(url):
        raise UsageError(
            "apprise understands no such URL; nothing was stored", "https://appriseit.com shows the URL of each service"
        )
    return Secret(url)


def _understood(url: str) -> bool:
    from nasos.notify.sender import understood

    try:
        return understood(url)
    except ImportError:
        raise PlatformUnsupported("apprise is not installed", 'pip install "nasos[alerts]"') from None


def _known(client: VaultClient) -> list[tuple[str, str]]:
    found = []
    for name in client.list(FOLDER):
        if name.endswith("/"):
            continue
        known = client.metadata(f"{FOLDER}/{name}")
        newest = known.versions[-1] if known.versions else None
        if newest and not newest.deleted and not newest.destroyed:
            found.append((name, known.custom.get("service", "")))
    return found
