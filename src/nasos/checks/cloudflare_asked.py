"""Cloudflare: what its API has to be asked for. Only questions; nothing is changed to find something out.

Rules: what is not answered is an error, never green. How bad it is that a token may too much follows from what it could
do. Whether labels are followed is not asked here: the companion says so each minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nasos.checks.rule import Failed, Passed, Skipped, Verdict, rule
from nasos.checks.target import Target
from nasos.cloudflare.permissions import Held
from nasos.cloudflare.refusal import TOKENS_PAGE
from nasos.cloudflare.tokens import FIELD
from nasos.finding import Severity

_UNUSED: Final = Skipped("not used: no zone is named")
_EDIT: Final = f"edit the token, keep its value: {TOKENS_PAGE}"
_SHOWN: Final = 5


@rule(
    "cloudflare.tokens",
    title="Each Cloudflare API token can do its task",
    severity=Severity.MEDIUM,
    why="a token that has ended, or may too little, is found out by a visitor otherwise",
    fix=_EDIT,
    needs=("cloudflare.settings",),
)
def tokens(target: Target) -> Verdict:
    """It counts, for a while yet, and what its task needs is answered."""
    if target.front is None:
        return _UNUSED
    found = target.front.tokens()
    if not found:
        return Failed(
            "there is no API token, neither in .env nor in Vault",
            f"nasos secret set cloudflare/companion --field {FIELD}",
        )
    for held in found:
        if trouble := held.trouble(target.now):
            return Failed(f"{_named(held)}: {trouble}", _EDIT if held.lacks else _replace(held))
    return Passed("; ".join(f"{_named(held)}: {held.end}" for held in found))


@rule(
    "cloudflare.least-privilege",
    title="No Cloudflare API token may do more than its task",
    severity=Severity.HIGH,
    why="whoever steals it could switch the firewall off, or take the visitors elsewhere",
    fix=_EDIT,
    needs=("cloudflare.tokens",),
)
def least_privilege(target: Target) -> Verdict:
    """By questions that it should be refused."""
    if target.front is None:
        return _UNUSED
    found = target.front.excess()
    wide = [each for each in found if each.words]
    if wide:
        told = "; ".join(f"{each.task.name} ({each.place}) may also: {each.words}" for each in wide)
        return Failed(told, severity=max((each.harm for each in wide), key=list(Severity).index))
    return Passed(f"{len(found)} token(s), refused everything that is not theirs, as far as was asked")


@rule(
    "cloudflare.records",
    title="Every name of the bot goes through Cloudflare, and no other one shows the address behind it",
    severity=Severity.HIGH,
    why="whoever knows the address goes round the firewall in front of it",
    fix="nasos cloudflare plan",
    needs=("cloudflare.tokens",),
)
def records(target: Target) -> Verdict:
    """As the zone has them now."""
    if target.front is None:
        return _UNUSED
    found = target.front.records()
    if found is None:
        return Skipped('mode under [tls] is not "cloudflare", or there is no token for records')
    if found:
        return Failed(_few(found))
    return Passed("all proxied, and their address stands nowhere else")


@rule(
    "cloudflare.zone",
    title="The zone's settings and rules are what they are to be",
    severity=Severity.MEDIUM,
    why="what somebody switched off in the dashboard for a moment stays off",
    fix="nasos cloudflare zone apply",
    needs=("cloudflare.tokens",),
)
def zone(target: Target) -> Verdict:
    """What a plan would change."""
    if target.front is None:
        return _UNUSED
    plan = target.front.zone()
    if plan is None:
        return Skipped("the zone's security is not ours: nasos cloudflare zone apply was never run")
    wrong = [f"{note.what}: {note.why}" for note in plan.notes if note.wrong]
    if plan.changes or wrong:
        return Failed(_few([*(f"{change.what} would change" for change in plan.changes), *wrong]))
    return Passed(f"nothing to change; {len(plan.notes)} thing(s) that its plan does not include")


def _named(held: Held) -> str:
    return f"{held.task.name} ({held.place})"


def _replace(held: Held) -> str:
    where = "set CLOUDFLARE_API_TOKEN" if held.place == ".env" else f"nasos secret set {held.place} --field {FIELD}"
    return f"make a new token at {TOKENS_PAGE}, then: {where}"


def _few(found: Sequence[str]) -> str:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


RULES: Final = (tokens, least_privilege, records, zone)
