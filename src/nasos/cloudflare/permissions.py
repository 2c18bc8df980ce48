"""What each API token is for, and what it may beside that; pure.

Rules: Cloudflare tells a token's permissions only to tokens that may read tokens, which ours must not. So each is tried
with questions that it should be refused: what is answered is one permission too many, and what its task needs has to be
answered. A question tells reading, not writing; where Cloudflare says of a zone what may be written, that counts too.
Names are the dashboard's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nasos.cloudflare.answers import TokenState, Zone
from nasos.finding import Severity

SOON: Final = timedelta(days=14)
"""Before its end a token is to be replaced by then."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One that a token may have."""

    name: str
    path: str
    """Answered to whoever has it; ``{zone}`` and ``{account}`` are IDs."""
    harm: Severity
    """Of having it without need."""
    told: str = ""
    """What Cloudflare calls it in a zone's ``permissions``."""

    @property
    def of_zone(self) -> bool:
        """Given zone by zone."""
        return "{zone}" in self.path


_PHASE: Final = "/zones/{zone}/rulesets/phases/%s/entrypoint"
DNS: Final = Permission("Zone · DNS", "/zones/{zone}/dns_records", Severity.HIGH, "dns_records")
SETTINGS: Final = Permission("Zone · Zone Settings", "/zones/{zone}/settings", Severity.HIGH, "zone_settings")
WAF: Final = Permission("Zone · Zone WAF", _PHASE % "http_request_firewall_custom", Severity.HIGH, "waf")
CACHE: Final = Permission("Zone · Cache Rules", _PHASE % "http_request_cache_settings", Severity.HIGH)
_PULLS: Final = "/zones/{zone}/origin_tls_client_auth"
SSL: Final = Permission("Zone · SSL and Certificates", _PULLS, Severity.HIGH, "ssl")
DDOS: Final = Permission("Zone · HTTP DDoS Managed Ruleset", _PHASE % "ddos_l7", Severity.MEDIUM)
KNOWN: Final = (
    DNS,
    SETTINGS,
    WAF,
    CACHE,
    SSL,
    Permission("Zone · Single Redirect", _PHASE % "http_request_dynamic_redirect", Severity.HIGH),
    Permission("Zone · Page Rules", "/zones/{zone}/pagerules", Severity.HIGH),
    Permission("Zone · Firewall Services", "/zones/{zone}/firewall/access_rules/rules", Severity.HIGH),
    Permission("Zone · Workers Routes", "/zones/{zone}/workers/routes", Severity.HIGH),
    Permission("Account · Workers Scripts", "/accounts/{account}/workers/scripts", Severity.HIGH),
    Permission("Account · Account Settings", "/accounts/{account}/members", Severity.MEDIUM),
    Permission("User · User Details", "/user", Severity.MEDIUM),
    Permission("User · API Tokens", "/user/tokens", Severity.CRITICAL),
)
"""What is tried: that which could take the bot's visitors elsewhere, let somebody past, or make more tokens."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a token is for."""

    name: str
    needs: tuple[Permission, ...]
    on_paid: tuple[Permission, ...] = ()
    """What it needs, too, where the zone's plan has it."""

    def needs_in(self, zone: Zone) -> tuple[Permission, ...]:
        """What it needs there."""
        return self.needs if zone.plan.legacy_id in {"free", ""} else (*self.needs, *self.on_paid)

    @property
    def beside(self) -> tuple[Permission, ...]:
        """What it does not need."""
        return tuple(each for each in KNOWN if each not in self.needs)


RECORDS: Final = Task("records", (DNS,))
ZONE: Final = Task("zone and certificates", (SETTINGS, WAF, CACHE, SSL), (DDOS,))
ACME: Final = Task("ACME", (DNS,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A token, as far as questions tell."""

    task: Task
    place: str
    """Where it is kept."""
    error: str = ""
    """Why it does not count at all, in words."""
    state: TokenState | None = None
    """None: it is an account's own, and its state is not told."""
    lacks: tuple[str, ...] = ()
    """Permissions that its task needs, with the zone."""

    def trouble(self, now: datetime) -> str:
        """Why it cannot do its task now, or soon; empty when it can."""
        if self.error:
            return self.error
        if self.lacks:
            return f"it lacks {', '.join(self.lacks)}"
        if self.state is None:
            return ""
        if self.state.status != "active":
            return f"it is {self.state.status}"
        end = self.state.expires_on
        return f"it ends on {end:%Y-%m-%d}" if end is not None and end - now < SOON else ""

    @property
    def end(self) -> str:
        """Until when it counts."""
        if self.state is None:
            return "its end is not told"
        return f"until {self.state.expires_on:%Y-%m-%d}" if self.state.expires_on else "without an end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """What a token may, and should not."""

    task: Task
    place: str
    permissions: tuple[Permission, ...] = ()
    zones: tuple[str, ...] = ()
    """Names of zones that are not ours to change."""

    @property
    def harm(self) -> Severity:
        """Of the worst."""
        found = [each.harm for each in self.permissions] + ([Severity.HIGH] if self.zones else [])
        return max(found, key=list(Severity).index, default=Severity.LOW)

    @property
    def words(self) -> str:
        """All of it, empty when there is nothing."""
        names = [each.name for each in self.permissions]
        if self.zones:
            more = f" and {len(self.zones) - 3} more" if len(self.zones) > 3 else ""
            names.append(f"other zones ({', '.join(sorted(self.zones)[:3])}{more})")
        return ", ".join(names)


def edit_missing(zone: Zone, needs: Iterable[Permission]) -> tuple[str, ...]:
    """Permissions that let the token read and not write, where Cloudflare tells."""
    told = frozenset(zone.permissions or ())
    return tuple(
        f"{each.name} · Edit"
        for each in needs
        if each.told and f"#{each.told}:read" in told and f"#{each.told}:edit" not in told
    )


def foreign(seen: Sequence[Zone], ours: Sequence[Zone]) -> tuple[str, ...]:
    """Zones that the token sees and nobody named."""
    known = {zone.id for zone in ours}
    return tuple(zone.name for zone in seen if zone.id not in known)
