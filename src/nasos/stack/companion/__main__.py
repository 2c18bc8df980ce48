"""``python -m nasos.stack.companion DUTIES``: what supervisord starts.

Rules: it confines itself before it asks anybody anything; the credential and the compose file are opened for it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from nasos.bot.sandbox import enter
from nasos.bot.tether import seal_memory
from nasos.cloudflare.client import Manner
from nasos.cloudflare.companion import PATIENCE, Companion
from nasos.cloudflare.feeds import feed_of
from nasos.cloudflare.site import Site, connected
from nasos.cloudflare.stop import Stop
from nasos.cloudflare.tokens import RECORDS, token_in
from nasos.errors import Error, FileRefused, SecretNotFound
from nasos.files import ExclusiveLock, private_content
from nasos.ledger import Ledger, Outcome
from nasos.secret import Secret
from nasos.settings import AppRole, VaultConnection
from nasos.stack.companion.confinement import UNIX, confinement
from nasos.stack.companion.duties import Duties
from nasos.stack.companion.opener import Opener
from nasos.vault import VaultClient
from nasos.vault.auth import role_of

ACTOR = "companion"
CREDENTIAL, CONTAINERS = "k", "c"


def main(duties: Duties) -> None:
    """Follow until SIGTERM."""
    seal_memory()
    compose = {} if duties.containers.startswith(UNIX) else {CONTAINERS: Path(duties.containers)}
    opener = Opener({CREDENTIAL: duties.credential, **compose})
    confined = enter(confinement(duties))

    def connect(stop: Stop) -> Site:
        connection = VaultConnection(duties.vault, duties.ca_file, _credential(opener, duties.credential))
        with VaultClient(connection, prefix="nasos") as vault:
            token = token_in(_fields(vault), RECORDS)
        return connected(token, duties.settings, duties.owner, Manner(PATIENCE, 10.0, sleep=stop.sleep))

    def tell(event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
        words = " ".join(f"{name}: {value}" for name, value in detail.items())
        _say(f"{event} {target} {outcome} {words}")
        try:
            Ledger(duties.ledger, ACTOR).append(event, target, outcome, detail)
        except (Error, OSError) as error:
            _say(f"{event} was not recorded: {error}")

    with Stop() as stop, ExclusiveLock(duties.directory / "lock", "a companion for this directory"):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop.ring)
        feed = feed_of(duties.containers, None, partial(opener.open, CONTAINERS))
        Companion(feed, connect, duties.directory, tell, confined=confined).run(stop)


def _credential(opener: Opener, file: Path) -> AppRole:
    """As it is now: it is replaced while we run."""
    try:
        fd = opener.open(CREDENTIAL)
    except OSError as error:
        raise FileRefused(f"cannot read {file}: {(error.strerror or '').lower()}", f"ls -l {file}") from None
    return role_of(private_content(fd, file), file)


def _fields(vault: VaultClient) -> Mapping[str, Secret]:
    try:
        return vault.read(RECORDS).fields
    except SecretNotFound:
        return {}


def _say(text: str) -> None:
    sys.stdout.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        main(Duties.decode(sys.argv[1]))
    except Error as error:
        sys.exit(f"nasos: error: {error.message}")
