"""Every command that changes or reveals something leaves an event: who, what, when, where and how it ended.

Rules: the event is written whatever the end was, also for Ctrl-C (then: unknown); what was only typed wrong is none,
because nothing was done. A ledger that cannot be written is said and never keeps a person from his work: in an
emergency the disk may well be full. Not in a directory that is no stack's home.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from nasos.cli.output import note
from nasos.errors import (
    AlreadyRunning,
    ChangeUnknown,
    Error,
    OutcomeUnknown,
    PermissionDenied,
    PermissionMissing,
    UsageError,
)
from nasos.ledger import Ledger, Outcome
from nasos.secret import Redactor
from nasos.settings import Settings
from nasos.vault.login import LoginFile

OPERATOR = "operator"


@contextmanager
def recorded(
    settings: Settings, event: str, target: str, detail: Mapping[str, str] | None = None, *, only_failures: bool = False
) -> Iterator[dict[str, str]]:
    """Record how the block ends; it may add to what is yielded."""
    told = dict(detail or {})
    try:
        yield told
    except UsageError:
        raise
    except Error as error:
        tell(settings, event, target, _outcome(error), {**told, "why": Redactor().redact(error.message)})
        raise
    except (KeyboardInterrupt, click.Abort):
        tell(settings, event, target, Outcome.UNKNOWN, {**told, "why": "interrupted"})
        raise
    if not only_failures:
        tell(settings, event, target, Outcome.OK, told)


def tell(settings: Settings, event: str, target: str, outcome: Outcome, detail: Mapping[str, str]) -> None:
    """Append one event of the person at the terminal; a ledger that refuses is said."""
    if not settings.home.is_dir():
        return
    ledger = Ledger(settings.home / "ledger" / "events.jsonl", actor(settings))
    try:
        ledger.append(event, target, outcome, {"by": person(), **detail})
    except Error as error:
        note(f"nasos: note: this was not recorded ({event}): {error.message}")


def actor(settings: Settings) -> str:
    """What the ledger calls the person at the terminal: his name in Vault where he is logged in, else the role."""
    if settings.vault_connection and settings.vault_connection.credential:
        return OPERATOR
    try:
        login = LoginFile.below(settings.home).load()
    except Error:
        return OPERATOR
    return login.name if login else OPERATOR


def person() -> str:
    """Who is at the terminal: the login that the kernel remembers through sudo, else the user of this process."""
    uid = os.getuid()
    try:
        login = int(Path("/proc/self/loginuid").read_text())
        uid = login if login not in {0, 0xFFFFFFFF} else uid  # not set: no login, or a container
    except (OSError, ValueError):
        pass
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _outcome(error: Error) -> Outcome:
    match error:
        case OutcomeUnknown() | ChangeUnknown():
            return Outcome.UNKNOWN
        case PermissionDenied() | PermissionMissing() | AlreadyRunning():
            return Outcome.REFUSED
        case _:
            return Outcome.FAILED
