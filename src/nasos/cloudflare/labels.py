"""What a container's labels ask for.

Rules: strict. A label that is not known, or has a value that is not, is an error of that container alone, and what was
made for it before stays as it is. A label chooses among the targets that the settings allow: a container that was taken
over cannot publish any record it likes. ``*`` and ``@`` only where they are allowed; a proxied name has one label below
its zone, because Cloudflare's Universal SSL certificate covers no more.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from nasos.cloudflare.names import canonical, content_of, holds, zone_of
from nasos.cloudflare.ownership import TYPES, source_of
from nasos.errors import UsageError

PREFIX: Final = "cloudflare."
KEYS: Final = ("subdomain", "proxied", "zone", "type", "target", "ttl", "enabled")
AUTOMATIC: Final = 1
"""The ttl that Cloudflare chooses; a proxied record has no other."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container, or a service of a compose file."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say."""

    zones: tuple[str, ...]
    """Canonical; a name without a zone is in the first."""
    targets: tuple[str, ...] = ()
    """Where names lead without a label ``target``."""
    allowed: tuple[str, ...] = ()
    """Where a label may have them lead, too."""
    proxied: bool = True
    ttl: int = AUTOMATIC
    wildcard: bool = False
    apex: bool = False
    deep: bool = False
    """There is a certificate for more than one label below the zone."""


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A record as it should be."""

    zone: str
    name: str
    type: str
    content: str
    proxied: bool
    ttl: int
    source: str
    """Of which container, as it stands in the comment."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Labels that cannot be followed."""

    container: str
    source: str
    message: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class Desired:
    """What all containers ask for."""

    wanted: tuple[Wanted, ...]
    mistakes: tuple[Mistake, ...]


def desired(containers: Iterable[Container], rules: Rules) -> Desired:
    """Each container for itself: a mistake in one changes nothing for the others."""
    found: list[Wanted] = []
    mistakes: list[Mistake] = []
    for container in containers:
        try:
            found += wanted(container, rules)
        except UsageError as error:
            mistakes.append(Mistake(container.name, source_of(container.name), error.message, error.hint))
    return Desired(tuple(sorted(set(found))), tuple(mistakes))


def wanted(container: Container, rules: Rules) -> tuple[Wanted, ...]:
    """The records that one container asks for.

    Raises:
        UsageError: A label cannot be followed.
    """
    labels = _ours(container.labels)
    if not labels or not _truth(labels, "enabled", default=True):
        return ()
    if not labels.get("subdomain"):
        raise UsageError(f"{PREFIX}subdomain is missing", f"{PREFIX}subdomain=bot")
    proxied = _truth(labels, "proxied", default=rules.proxied)
    ttl = AUTOMATIC if proxied else _ttl(labels, rules.ttl)
    targets, source = _targets(labels, rules), source_of(container.name)
    return tuple(
        Wanted(zone, name, kind, content, proxied, ttl, source)
        for item in labels["subdomain"].split(",")
        for zone, name in [_name(item.strip(), labels.get("zone"), rules, proxied=proxied)]
        for kind, content in targets
        if _not_itself(name, content)
    )


def _ours(labels: Mapping[str, str]) -> dict[str, str]:
    found = {key.removeprefix(PREFIX): value.strip() for key, value in labels.items() if key.startswith(PREFIX)}
    for key in found:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {PREFIX}{close[0]}?" if close else f"known: {', '.join(KEYS)}"
            shown = ascii(key[:60])[1:-1]  # whoever names a label may not move a terminal's cursor
            raise UsageError(f"unknown label {PREFIX}{shown}", hint)
    return found


def _truth(labels: Mapping[str, str], key: str, *, default: bool) -> bool:
    value = labels.get(key)
    if value is None:
        return default
    if value not in ("true", "false"):
        raise UsageError(f"{PREFIX}{key} is {value[:40]!r}", f'{PREFIX}{key}="true", or "false"')
    return value == "true"


def _ttl(labels: Mapping[str, str], default: int) -> int:
    text = labels.get("ttl", str(default))
    ttl = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    if ttl != AUTOMATIC and not 60 <= ttl <= 86400:
        raise UsageError(f"{PREFIX}ttl is {text[:40]!r}", "60 to 86400 seconds, or 1: automatic")
    return ttl


def _targets(labels: Mapping[str, str], rules: Rules) -> tuple[tuple[str, str], ...]:
    """Type and content of each record that every name gets."""
    kind, chosen = labels.get("type"), labels.get("target")
    if kind is not None and kind not in TYPES:
        raise UsageError(f"{PREFIX}type is {kind[:40]!r}", "A, AAAA or CNAME")
    own = {content_of(text) for text in rules.targets}
    found = {content_of(text) for text in chosen.split(",")} if chosen is not None else own
    for _, content in sorted(found - own - {content_of(text) for text in rules.allowed}):
        raise UsageError(
            f"{PREFIX}target {content} is not allowed",
            "name it under [cloudflare] in nasos.toml: allowed_targets = [...]",
        )
    fitting = {(type_, content) for type_, content in found if kind in (None, type_)}
    if not fitting or (chosen is not None and fitting != found):
        raise UsageError(f"there is no target of type {kind}" if kind else "there is no target",
                         'name one under [cloudflare] in nasos.toml: target = ["203.0.113.7"]')  # fmt: skip
    if len(fitting) > 1 and any(type_ == "CNAME" for type_, _ in fitting):
        raise UsageError("a host as target stands alone: an alias has no other records", f"choose with {PREFIX}type")
    return tuple(sorted(fitting))


def _name(item: str, zone_label: str | None, rules: Rules, *, proxied: bool) -> tuple[str, str]:
    """Zone and whole name of one entry of ``subdomain``."""
    base = canonical(zone_label) if zone_label is not None else rules.zones[0]
    if base not in rules.zones:
        raise UsageError(f"{PREFIX}zone {base} is none of the zones", f"zones here: {', '.join(rules.zones)}")
    name = base if item == "@" else _whole(item, base, rules)
    zone = zone_of(name, rules.zones)
    if zone is None or (zone_label is not None and zone != base):
        raise UsageError(f"{name} is not in the zone {base}", f"zones here: {', '.join(rules.zones)}")
    below = name[: -len(zone)].rstrip(".").split(".") if name != zone else []
    if not below and not rules.apex:
        raise UsageError(f"{zone} itself is not to be changed by a label", "[cloudflare] apex = true allows it")
    if "*" in below and not rules.wildcard:
        raise UsageError("a wildcard would take every name that is not there", "[cloudflare] wildcard = true allows it")
    if len(below) > 1 and proxied and not rules.deep:
        raise UsageError(
            f"{name} has {len(below)} labels below {zone}: Cloudflare's certificate covers one",
            f'use one label, {PREFIX}proxied="false", or buy a certificate and set [cloudflare] deep_names = true',
        )
    return zone, name


def _whole(item: str, base: str, rules: Rules) -> str:
    if item == "*":
        return f"*.{base}"
    name = canonical(item)
    if item.endswith(".") or any(holds(zone, name) for zone in rules.zones):
        return name
    for zone in rules.zones:
        if zone in name:  # notexample.com, example.com.evil.net
            raise UsageError(f"{name} looks like {zone} and is not in it", f"below {zone} write bot, or bot.{zone}")
    return canonical(f"{name}.{base}")


def _not_itself(name: str, content: str) -> bool:
    if name == content:
        raise UsageError(f"{name} would lead to itself", f"choose another {PREFIX}target")
    return True
