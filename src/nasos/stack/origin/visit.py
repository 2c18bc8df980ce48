"""A request as a visitor makes it: by the public name, verified by the public roots, through Cloudflare.

Cloudflare passes a request on to the port that it came in on. So an edge that may not open port 443 is visited on its
own port, where that is one of those that Cloudflare takes; else on 443, from where somebody leads it here.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
from typing import Final

from nasos.errors import TlsError

SECONDS: Final = 20.0
"""Cloudflare gives an origin 15 s or more to take a connection before it answers 522 itself."""
PORTS: Final = frozenset({443, 2053, 2083, 2087, 2096, 8443})
"""For HTTPS (its documentation, network ports)."""


def reach(host: str, path: str, edge: int) -> int:
    """Ask for a path; the status of the first answer that is not Cloudflare's own about an origin that it cannot reach.

    Raises:
        TlsError: There is no answer at all.
    """
    status, why = 0, ""
    for port in (edge, 443) if edge in PORTS - {443} else (443,):
        try:
            status = _asked(host, port, path)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "verify_message", "") or type(error).__name__
            continue
        if not 520 <= status < 530:
            return status
    if not status:
        raise TlsError(
            f"https://{host} does not answer through Cloudflare ({why})",
            f"is {host} a proxied record that leads here? ./nasos cloudflare plan",
        )
    return status


def _asked(host: str, port: int, path: str) -> int:
    connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read(1 << 16)
        return answer.status
