"""Which events are worth an alert.

Rules: what failed, or ended with its answer lost, alerts unless it is listed as quiet, so that an event that nobody
thought of here is heard; what went well or was refused is silent unless it is listed. Nothing about alerts themselves
ever alerts: a receiver that is down would ring for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from nasos.notify.notice import Notice, Urgency
from nasos.secret import Redactor

_URGENT: Final = {
    "bot.sandbox": "the bot runs unconfined",
    "bot.claim": "two bots may want the same database",
    "host.disk": "a disk is full or read-only; Vault may refuse every call until it has room",
    "ledger.damaged": "the ledger was cut, or is another one",
    "program.failed": "a program does not start any more",
    "tls.expiring": "a certificate nears its end and could not be renewed",
    "vault.stale-read": "Vault is away; a program goes on with an old secret",
    "vault.bootstrap": "Vault is not as it should be",
}
"""Failed is urgent here; the words for people."""

_WORDS: Final = {
    "rotation.end": "a secret was not replaced: the old one is valid, or somebody has to look",
    "rotation.rejected": "a new secret is refused by its target again and again",
    "rotation.overdue": "a secret is older than its timetable allows",
}
"""Failed is no more urgent than other failures here; the words for people."""

_SPOKEN: Final = {
    ("vault.unseal", "ok"): "somebody unsealed Vault",
    ("vault.bootstrap", "refused"): "Vault is not as it should be",
    ("bot.claim", "refused"): "a second bot was kept from the database",
    ("rotation.reminder", "ok"): "a key has to be made anew at the exchange soon",
    ("rotation.override", "ok"): "an exchange key was taken although something spoke against it",
    ("ledger.accept", "ok"): "somebody accepted what was found in the ledger",
}
"""Silent outcomes that a person wants to hear of all the same."""

_QUIET: Final = ("alert.", "secret.", "rotation.old-key", "tls.renew")
"""Told where they happened, at the terminal of the person who typed the command; or, as `tls.renew`, tried again, and
told by `tls.expiring` when that goes on."""


class Recorded(Protocol):
    """An event of the ledger."""

    @property
    def event(self) -> str: ...  # noqa: D102  the ledger's contract
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def outcome(self) -> str: ...  # noqa: D102
    @property
    def detail(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def time(self) -> str: ...  # noqa: D102
    @property
    def host(self) -> str: ...  # noqa: D102


def worth(told: Recorded) -> Notice | None:
    """The alert that an event is worth; None for silence."""
    words = _words(told.event, told.outcome)
    if words is None:
        return None
    what = [words] * bool(words) + [
        f"target: {told.target}",
        *(f"{name}: {text}" for name, text in told.detail.items()),
    ]
    body = "\n".join([*what, f"at: {told.time[:19].replace('T', ' ')} UTC on {told.host}"])
    return Notice(
        key=f"{told.event} {told.target} {told.outcome}",
        title=f"nasos: {told.event} {told.outcome} ({told.target})",
        body=Redactor().redact(body),  # by shape: the last net under the rule that no event holds a secret
        urgency=Urgency.FAILURE if told.event in _URGENT else Urgency.WARNING,
    )


def _words(event: str, outcome: str) -> str | None:
    if (event, outcome) in _SPOKEN:
        return _SPOKEN[event, outcome]
    if outcome not in {"failed", "unknown"} or event.startswith(_QUIET):
        return None
    return _URGENT.get(event) or _WORDS.get(event, "")
