"""Cloudflare: the third subject of the user's document, as far as it can be told without asking Cloudflare."""

from __future__ import annotations

import re
from typing import Final

from nasos.checks.rule import Failed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.finding import Severity

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{40,}")
_ZONE: Final = re.compile(r"[0-9a-f]{32}")


@rule(
    "cloudflare.settings",
    title="Cloudflare token and zone are set and well formed",
    severity=Severity.MEDIUM,
    why="with half of the pair, or a pasted global key, no record and no certificate can be managed",
    fix="set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID in .env, or neither",
)
def settings(target: Target) -> Verdict:
    """Shape only: whether the token works is the companion's to prove."""
    token, zone = target.cloudflare.api_token, target.cloudflare.zone_id
    if token is None and zone is None:
        return Skipped("not used: neither CLOUDFLARE_API_TOKEN nor CLOUDFLARE_ZONE_ID is set")
    if token is None or zone is None:
        missing = "CLOUDFLARE_API_TOKEN" if token is None else "CLOUDFLARE_ZONE_ID"
        return Failed(f"half of the pair: {missing} is not set")
    if not _ZONE.fullmatch(zone):
        return Failed(
            "CLOUDFLARE_ZONE_ID is not 32 hexadecimal digits", "copy the zone ID from the zone's overview page"
        )
    if not _TOKEN.fullmatch(token.reveal()):
        return Failed("CLOUDFLARE_API_TOKEN does not look like an API token (a global key is refused)")
    return Skipped("token and zone are well formed; not verified with Cloudflare yet, the companion will do that")


RULES: Final = (settings,)
