"""What an ACME server's no means: a typed error with what can be done.

Rule: what the CA says is text of a stranger: cut, and without control characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from acme import errors, messages

from nasos.errors import IssuerBusy, IssuerRefused, IssuerUnreachable, TlsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """What came of the last request."""

    host: str
    status: int
    """0: there was no answer."""
    until: datetime | None
    """When to ask again, where the CA says so."""
    registered: bool
    """Whether the account was known by then."""


def plain(text: str | None) -> str:
    """What a stranger wrote, fit for a terminal and a log."""
    return re.sub(r"[^\x20-\x7e]+", " ", text or "")[:200].strip()


_HINTS: Final = {
    "externalAccountRequired": "eab_kid and eab_key_file under [tls.acme], as the CA hands them out",
    "userActionRequired": "agree_to_terms = true under [tls.acme], when you have read the CA's terms",
    "rejectedIdentifier": "hosts under [tls]: a public CA signs public names only",
    "invalidContact": "contact under [tls.acme] is your mail address",
    "caa": "a CAA record of the zone forbids this CA",
    "accountDoesNotExist": "./nasos tls renew",
}
_BUSY: Final = (429, 503)
_TERMS: Final = re.compile(r"terms|agree", re.IGNORECASE)


def problem(last: Last, error: messages.Error) -> TlsError:
    """What a problem document (RFC 7807) means."""
    code, said = error.code or "", plain(error.detail or error.title) or "no reason given"
    if code == "rateLimited" or last.status in _BUSY:
        return IssuerBusy(f"{last.host} asks for patience: {said}", _later(last.until), until=last.until)
    if last.status >= 500:
        return IssuerUnreachable(f"{last.host} has trouble of its own: {said}", _later(last.until))
    hint = _HINTS.get(code)
    if hint is None and not last.registered and _TERMS.search(said):
        hint = _HINTS["userActionRequired"]
    return IssuerRefused(f"{last.host} refuses ({plain(code) or 'no type'}): {said}", hint)


def invalid(host: str, error: errors.ValidationError) -> IssuerRefused:
    """Which challenges were not met."""
    reasons = [
        f"{plain(each.body.identifier.value)}: {plain(challenge.error.detail)}"
        for each in error.failed_authzrs for challenge in each.body.challenges if challenge.error is not None
    ]  # fmt: skip
    return IssuerRefused(
        f"{host} does not accept the challenge for {'; '.join(reasons)}", "dig TXT shows what the DNS answers"
    )


def strange(last: Last, directory: str) -> TlsError:
    """An answer without a meaning."""
    if last.status in _BUSY:
        return IssuerBusy(f"{last.host} asks for patience ({last.status})", _later(last.until), until=last.until)
    return IssuerUnreachable(f"{last.host} answers, but not as an ACME server ({last.status})", f"curl -sS {directory}")


def _later(until: datetime | None) -> str:
    return f"it is tried again after {until:%Y-%m-%d %H:%M} UTC" if until else "it is tried again by itself"
