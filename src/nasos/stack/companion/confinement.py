"""What the companion reaches: Vault, Cloudflare, its own directory and its ledger; every other file by asking for it.

Rules: entered before the first question to anybody. It reads no credential, no key, no other program's state and no
audit log, also where all services are one user's; two files are opened for it (`opener`). Unix sockets are refused,
unless containers are looked for at one: Landlock does not tell them apart.
"""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

from nasos.bot.sandbox import Confinement
from nasos.stack.companion.duties import Duties

_HTTPS, _DNS = 443, 53
UNIX: Final = "unix://"


def confinement(duties: Duties) -> Confinement:
    """Of the one who speaks with the network."""
    trust = ssl.get_default_verify_paths()
    return Confinement(
        # The CA keeps its inode when it is made anew (`tls.dev_ca`).
        read=tuple(filter(None, (str(duties.ca_file), trust.cafile, trust.capath))),
        write=tuple(dict.fromkeys(map(str, (duties.directory, duties.ledger.parent)))),
        bind=(),
        connect=tuple({_port(duties.vault), _port(duties.table.api), _DNS}),
        unix=duties.containers.startswith(UNIX),
    )


def _port(address: str) -> int:
    return urlsplit(address).port or _HTTPS
