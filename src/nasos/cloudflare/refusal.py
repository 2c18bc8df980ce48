"""Cloudflare's no, as one of our errors.

Rules: a code that is known has a hint that mends it; a missing permission is named as the dashboard names it; what
Cloudflare says in its own words is shortened and cleaned before it is passed on. Codes: Cloudflare's documentation and
what users reported of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from nasos.cloudflare.answers import Trouble
from nasos.errors import ApiTokenRefused, CloudflareError, CloudflareRefused, PermissionMissing

TOKENS_PAGE: Final = "https://dash.cloudflare.com/profile/api-tokens"
TOKEN_CODES: Final = frozenset({1000, 6003, 6103, 6111, 9103, 9106, 9109, 10000, 10001})
"""What is said of the token, and not of the request. Whether it is wrong or may too little, the code does not tell."""
MALFORMED: Final = frozenset({6003, 6103, 6111})
EXISTS: Final = frozenset({81053, 81054, 81057, 81058})
GONE: Final = frozenset({81044})
NO_RULESET: Final = 10003
"""Nobody has made a rule in this phase yet."""
FULL: Final = frozenset({81045})
STALE: Final = EXISTS | GONE
"""What we had read of the zone is no longer so."""

_HINTS: Final = {
    7003: "is the zone ID right? it stands on the zone's overview page",
    1001: "is the zone ID right? it stands on the zone's overview page",
    1004: "the record was refused as a whole: look at its name and target",
    9003: 'a proxied record needs a public address: set cloudflare.proxied to "false"',
    9004: 'this record cannot be proxied: set cloudflare.proxied to "false"',
    9005: "the target is no IPv4 address",
    9006: "the target is no IPv6 address",
    9007: "the target is no host name",
    9021: "a ttl is 1 (automatic) or 60 to 86400 seconds",
    81044: "somebody else removed the record; run the command again",
    81045: "the zone is full: remove records, or choose another plan",
    81053: "somebody else made a record of that name; run the command again",
    81054: "somebody else made a record of that name; run the command again",
    81057: "somebody else made the same record; run the command again",
    81058: "somebody else made the same record; run the command again",
}

_NEEDED: Final = (
    (r"GET /zones/[^/]+/dns_records", "Zone · DNS · Read"),
    (r"\w+ /zones/[^/]+/dns_records", "Zone · DNS · Edit"),
    (r"GET /zones/[^/]+/settings", "Zone · Zone Settings · Read"),
    (r"\w+ /zones/[^/]+/settings", "Zone · Zone Settings · Edit"),
    (r"\w+ /zones/[^/]+/rulesets/.*http_request_cache", "Zone · Cache Rules · Edit"),
    (r"\w+ /zones/[^/]+/rulesets/.*ddos_l7", "Zone · HTTP DDoS Managed Ruleset · Edit"),
    (r"\w+ /zones/[^/]+/rulesets", "Zone · Zone WAF · Edit"),
    (r"\w+ /zones/[^/]+/(?:origin_tls_client_auth|ssl)|\w+ /certificates", "Zone · SSL and Certificates · Edit"),
    (r"GET /zones", "Zone · Zone · Read"),
)
"""Method and path -> the permission, in the dashboard's words."""


def codes_of(troubles: Sequence[Trouble]) -> tuple[int, ...]:
    """All codes, those inside others too."""
    return tuple(code for trouble in troubles for code in _codes(trouble))


def _codes(trouble: Trouble) -> Iterator[int]:
    yield trouble.code
    for inner in trouble.error_chain:
        yield from _codes(inner)


def needed(method: str, path: str) -> str:
    """The permission that a request needs; empty where nobody has told us."""
    line = f"{method} {path}"
    return next((name for pattern, name in _NEEDED if re.match(pattern, line)), "")


def token_refused(codes: Sequence[int], words: str, need: str = "") -> ApiTokenRefused:
    """The token itself does not count."""
    if MALFORMED & set(codes):
        return ApiTokenRefused(
            f"the Cloudflare API token is malformed ({_said(codes, words)})",
            "paste the token anew, without spaces or line breaks in it; a global API key is no token",
        )
    permission = f' with "{need}" for this zone only' if need else ""
    return ApiTokenRefused(
        f"Cloudflare does not accept the API token ({_said(codes, words)})",
        f"make a new token{permission}: {TOKENS_PAGE}",
    )


def permission_missing(codes: Sequence[int], words: str, need: str) -> PermissionMissing:
    """The token is active, and may not do this here."""
    named = f'"{need}"' if need else "a permission"
    return PermissionMissing(
        f"the Cloudflare API token lacks {named}, or the zone is not one of its zones ({_said(codes, words)})",
        f"edit the token, keep its value: {TOKENS_PAGE}",
    )


def refused(status: int, codes: Sequence[int], words: str) -> CloudflareError:
    """Any other no."""
    hint = next((_HINTS[code] for code in codes if code in _HINTS), None)
    error = CloudflareRefused(f"Cloudflare refuses ({_said(codes or (status,), words)})", hint)
    error.codes = tuple(codes)
    return error


def _said(codes: Sequence[int], words: str) -> str:
    numbers = "/".join(map(str, dict.fromkeys(codes)))
    return f"{numbers}: {words}" if words else numbers


def words_of(troubles: Sequence[Trouble]) -> str:
    """The first message, on one line, without its full stop, not longer than a line."""
    text = next((trouble.message for trouble in troubles if trouble.message), "")
    clean = re.sub(r"[^\x20-\x7e]+", " ", text).strip().rstrip(".")[:120]
    return clean[:1].lower() + clean[1:]
