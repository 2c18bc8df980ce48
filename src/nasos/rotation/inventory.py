"""Every secret of the stack, ours and the user's, and what becomes of it: a pure table and what follows from it.

Rules: a secret has a rotator, or a person who is reminded; what has neither is unknown, and unknown is a finding. What
is no secret is said to be none, by name: nothing is left out by silence. No value is looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nasos.rotation.timetable import Line
from nasos.settings.schedule import Times, fits


class How(enum.StrEnum):
    """What becomes of a secret."""

    AUTOMATIC = "automatic"
    """A rotator replaces it by the timetable."""
    REMINDER = "reminder"
    """A person replaces it, and is told when."""
    DERIVED = "derived"
    """It ends by itself, or with another one."""
    PUBLIC = "public"
    """It is no secret."""
    UNKNOWN = "unknown"
    """Nobody said what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field in Vault, or one file."""

    place: str
    """Path below ``nasos/`` in Vault, or file."""
    field: str = ""
    """Empty for files."""
    how: How
    by: str = ""
    """The line of the timetable that it follows."""
    since: datetime | None = None
    next: datetime | None = None
    overdue: bool = False
    note: str = ""
    """What a person does, or why it is as it is."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known of a place."""

    pattern: str
    how: How
    note: str = ""
    by: str = ""
    """Name on the timetable; the place itself where it is empty and somebody is reminded."""


PUBLIC_FIELDS: Final = (("bots/*/api", "username"), ("bots/*/db", "role"), ("bots/*/db", "username"),
                        ("postgres/admin", "username"),
                        *(("gateway/signing", f"{which}_{what}") for which in ("previous", "current", "next")
                          for what in ("kid", "since")))  # fmt: skip
"""Names and times that stand in every log, or are published."""

REMINDERS: Final = (
    Rule("bots/*/exchange", How.REMINDER, "make a new key at the exchange, then: nasos rotate api"),
    Rule("bots/*/telegram", How.REMINDER, "/revoke at @BotFather, then: nasos secret set"),
    Rule("bots/**", How.REMINDER, "nasos secret set"),
    Rule("postgres/**", How.REMINDER, "nasos secret set"),
    Rule("alerts/*", How.REMINDER, "nasos alert add"),
    Rule("app/**", How.REMINDER, "nasos secret set; [rotation.secrets] has it rotate by itself"),
    Rule("cloudflare/**", How.REMINDER, "nasos secret set"),
    Rule("gateway/**", How.REMINDER, "nasos secret set"),
)
"""Secrets in Vault that nothing rotates: the first that fits."""

FILES: Final = (
    Rule("unseal.key", How.REMINDER, "nasos rotate now vault/seal-key", by="vault/seal-key"),
    Rule("unseal.key.next", How.DERIVED, "becomes unseal.key, or is removed: nasos rotate now vault/seal-key"),
    Rule("recovery.json", How.REMINDER, "move it off this machine"),
    Rule("login.json", How.DERIVED, "ends after 8 h: nasos logout"),
    Rule("app.env", How.PUBLIC, "address, RoleID and paths"),
    Rule("credentials/app.secret-id", How.AUTOMATIC, by="credentials/app"),
    Rule("credentials/operator.json", How.REMINDER, "nasos vault credentials renew --role operator"),
    Rule("credentials/*.json", How.AUTOMATIC, by="credentials/*"),
    Rule("tls/ca.key", How.REMINDER, "move it away, then: nasos tls setup --force"),
    Rule("tls/*.key", How.REMINDER, "nasos tls setup"),
    Rule("tls/acme/account.key", How.REMINDER, "remove it: nasos tls renew makes another account"),
    Rule("tls/acme/pair-*/key.pem", How.DERIVED, "ends with its certificate, which the rotator renews"),
    Rule("tls/acme/renewal.json", How.PUBLIC, "when it was tried"),
    Rule("tls/cloudflare/pair-*/key.pem", How.DERIVED, "ends with its certificate, which the rotator renews"),
    Rule("tls/cloudflare/renewal.json", How.PUBLIC, "when it was tried"),
    Rule("tls/cloudflare/origin.json", How.PUBLIC, "Cloudflare's addresses, and who is let in"),
    Rule("vault/config.hcl", How.PUBLIC, "names the key's file"),
    Rule("vault/aside.hcl", How.PUBLIC, "names the key's file"),
    Rule("vault/bootstrap.json", How.DERIVED, "gone when Vault is bootstrapped"),
    Rule("audit/*/audit.log-*", How.PUBLIC, "values are hashed with a key of the server's"),
    Rule("bot/*/base.json", How.PUBLIC),
    Rule("backup.json", How.PUBLIC, "when and where the newest backup was made"),
    Rule("cloudflare.json", How.PUBLIC, "since when nobody asks for which DNS record"),
    Rule("import/*/journal.json", How.PUBLIC),
    Rule("import/*/backup/*", How.REMINDER, "nasos bot import --confirm removes it"),
    Rule("run/*/state.json", How.PUBLIC),
    Rule("run/housekeeping/ballast", How.PUBLIC),
    Rule("log/*.log*", How.PUBLIC, "redacted before it is written"),
    Rule("ledger/events*", How.PUBLIC),
    Rule("run/bot/events*", How.PUBLIC),
    Rule("run/gateway/events*", How.PUBLIC),
    Rule("run/companion/events*", How.PUBLIC),
    Rule("run/companion/cloudflare.json", How.PUBLIC, "since when nobody asks for which DNS record"),
    Rule("run/companion/lock", How.PUBLIC),
    Rule("gateway/*", How.DERIVED, "hashes of tokens, which end by themselves: nasos gateway token list"),
)
"""Files that others may not read: all of the state directory's map, and the keys beside it."""

OUTSIDE: Final = (
    Row(place="recovery key", how=How.REMINDER, note="where you keep it; nasos vault recover shows whether it works"),
    Row(place="key of your backups", how=How.REMINDER, note="where you keep it; old backups need the old one"),
)
"""What is not on this machine, and cannot be looked at."""


def means(pattern: str, place: str) -> bool:
    """Whether a rule's pattern means this place; ``**`` at its end is all that lies below."""
    folder, deep, _ = pattern.partition("/**")
    return place.startswith(f"{folder}/") if deep else fits(pattern, place)


def in_vault(
    place: str, field: str, lines: Mapping[str, Line], rotates: Iterable[str], schedule: Mapping[str, Times]
) -> Row:
    """A field's row; ``rotates`` are the units that replace this field."""
    if any(fits(pattern, place) and field == name for pattern, name in PUBLIC_FIELDS):
        return Row(place=place, field=field, how=How.PUBLIC)
    for unit in rotates:
        note = "make a new key at the exchange, then: nasos rotate api" if fits("bots/*/exchange", unit) else ""
        return following(place, field, lines.get(unit), unit, note)
    rule = next((rule for rule in REMINDERS if means(rule.pattern, place)), None)
    if rule is None and not any(fits(pattern, place) for pattern in schedule):
        note = f'nobody says how it is replaced: "{place}" = {{ every = "365d" }} under [rotation.schedule]'
        return Row(place=place, field=field, how=How.UNKNOWN, note=note)
    return following(place, field, lines.get(place), place, rule.note if rule else "nasos secret set")


def on_disk(place: str, own: Line | None, lines: Mapping[str, Line]) -> Row:
    """A file's row; ``own`` is its line by the file's own age."""
    rule = next((rule for rule in FILES if fits(rule.pattern, place)), None)
    if rule is None:
        return Row(place=place, how=How.UNKNOWN, note="nobody says what it is")
    if rule.how in {How.PUBLIC, How.DERIVED}:
        return Row(place=place, how=rule.how, note=rule.note)
    name = rule.by.replace("*", place.rpartition("/")[2].removesuffix(".json")) if rule.by else place
    if rule.how is How.AUTOMATIC and name not in lines:  # of a bot that was here under another name
        return following(place, "", own, place, f"nothing of this stack uses it any more: rm {place}")
    return following(place, "", lines.get(name) if rule.by else own, name, rule.note)


def following(place: str, field: str, line: Line | None, by: str, note: str = "") -> Row:
    """The row of what follows a line of the timetable; unknown where there is no such line."""
    if line is None:
        return Row(place=place, field=field, how=How.UNKNOWN, by=by, note=f"{by} is not on the timetable")
    how = How.AUTOMATIC if line.policy.automatic else How.REMINDER
    told = line.why or note or (f"nasos rotate now {by}" if how is How.REMINDER else "")
    return Row(
        place=place, field=field, how=how, by=by, since=line.since, next=line.next, overdue=line.overdue, note=told
    )
