"""Cloudflare: the third subject of the user's document; here what can be told without asking Cloudflare.

What is asked is in `cloudflare_asked`; whether labels are followed, ``nasos cloudflare plan`` and the companion tell.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from nasos.checks import cloudflare_asked
from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Origin, Target
from nasos.errors import ProgramFailed
from nasos.finding import Severity

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{40,}")
_ZONE: Final = re.compile(r"[0-9a-f]{32}")
_SWITCH: Final = "./nasos tls setup --mode cloudflare"
OLD: Final = timedelta(days=7)
"""Age of the list of addresses; the rotator asks each day."""
LATE: Final = timedelta(days=60)
"""Left of the client certificate, which is replaced 90 days before its end."""


@rule(
    "cloudflare.settings",
    title="Cloudflare token and zone are set and well formed",
    severity=Severity.MEDIUM,
    why="with half of the pair, or a pasted global key, no record and no certificate can be managed",
    fix="set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID in .env, or neither",
)
def settings(target: Target) -> Verdict:
    """Shape only; the token may be in Vault, too."""
    token, zone = target.cloudflare.api_token, target.cloudflare.zone_id
    if zone is None and not target.cloudflare.table.zones:
        if token is None:
            return Skipped("not used: neither CLOUDFLARE_API_TOKEN nor CLOUDFLARE_ZONE_ID is set")
        return Failed("half of the pair: CLOUDFLARE_ZONE_ID is not set")
    if zone is not None and not _ZONE.fullmatch(zone):
        return Failed(
            "CLOUDFLARE_ZONE_ID is not 32 hexadecimal digits", "copy the zone ID from the zone's overview page"
        )
    if token is not None and not _TOKEN.fullmatch(token.reveal().strip()):
        return Failed("CLOUDFLARE_API_TOKEN does not look like an API token (a global key is refused)")
    return Passed("well formed; whether they work, cloudflare.tokens asks")


@rule(
    "cloudflare.origin",
    title="The edge answers Cloudflare, and nobody else",
    severity=Severity.HIGH,
    why="whoever finds the machine's address goes round the firewall and the limits in front of it",
    fix=_SWITCH,
)
def origin(target: Target) -> Verdict:
    """The switch was gone to its end."""
    if target.origin is None:
        return Skipped('not used: mode under [tls] is not "cloudflare"')
    if not target.origin.required:
        return Failed("the way to Cloudflare was not gone to its end: nginx lets everybody in")
    return Passed("without Cloudflare's client certificate nobody gets an answer")


@rule(
    "cloudflare.renewal",
    title="Cloudflare's addresses and its client certificate are kept up",
    severity=Severity.MEDIUM,
    why="with old addresses visitors are refused, and with an expired certificate all of them are",
    fix="./nasos tls renew",
    needs=("cloudflare.origin",),
)
def renewal(target: Target) -> Verdict:
    """By the dates that the rotator left."""
    known = target.origin or Origin()
    if known.fetched is None or target.now - known.fetched > OLD:
        return Failed(f"Cloudflare's addresses were last confirmed {_day(known.fetched)}")
    if known.pulls_end is None or known.pulls_end - target.now < LATE:
        return Failed(f"Cloudflare's client certificate should be a new one by now; it ends {_day(known.pulls_end)}")
    return Passed(f"addresses of {_day(known.fetched)}, client certificate until {_day(known.pulls_end)}")


@rule(
    "cloudflare.companion",
    title="The companion does its work",
    severity=Severity.MEDIUM,
    why="names lead to containers that are gone, and new ones are not reached",
    fix="./nasos logs companion",
)
def companion(target: Target) -> Verdict:
    """Its own last word."""
    if target.companion is None:
        return Skipped("not used: no containers under [cloudflare]")
    try:
        return Passed(target.companion())
    except ProgramFailed as error:
        return Failed(error.message, error.hint or "")


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "never"


RULES: Final = (settings, *cloudflare_asked.RULES, origin, renewal, companion)
