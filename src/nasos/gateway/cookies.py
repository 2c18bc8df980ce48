"""The two cookies of a browser's session, and what a browser may do with them.

Rules: ``__Host-`` (no other host of the domain sets them), HttpOnly (no script reads them), Secure, SameSite=Strict. A
cookie is sent by the browser whoever made it ask: what changes something needs an Origin that is our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from nasos.secret import Secret

ACCESS: Final = "__Host-nasos"
"""The access token: minutes."""
REFRESH: Final = "__Host-nasos-session"
"""The refresh token: good for one renewal."""
LONGEST: Final = 8192
"""Characters of the header that are looked at."""

_VALUE: Final = re.compile(r"[A-Za-z0-9._~-]{1,4096}")


def read(header: str, name: str) -> Secret | None:
    """A cookie's value; None where it is not there, odd, or there twice."""
    if len(header) > LONGEST:
        return None
    values = [value for part in header.split(";") for key, _, value in [part.strip().partition("=")] if key == name]
    return Secret(values[0]) if len(values) == 1 and _VALUE.fullmatch(values[0]) else None


def own_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request was made by our own page, or by no page at all (programs send neither header)."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        return origin.lower() == f"https://{headers.get('host', '').lower()}"
    return site is None or site in ("same-origin", "none")
