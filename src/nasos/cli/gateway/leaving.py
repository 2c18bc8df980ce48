"""What somebody has at the front door, and how it ends: with his access, his role, or his password.

Rules: called after Vault was changed, and also when that failed: a command that was killed in between is run again and
then finds nobody in Vault. Where the gateway runs elsewhere there is nothing here to end.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from nasos.cli.context import operator_client
from nasos.cli.gateway.files import api_tokens_of, enrolments_of, sessions_of
from nasos.errors import SecretNotFound, StackError
from nasos.settings import Settings


def log_out(settings: Settings, name: str, why: str) -> int:
    """End his sessions; how many."""
    try:
        with sessions_of(settings) as sessions:
            return sessions.end_all(name, why, datetime.now(UTC))
    except StackError:
        return 0


def shut_out(settings: Settings, name: str, why: str) -> None:
    """End his sessions, and the tokens that he made for programs."""
    log_out(settings, name, why)
    with suppress(StackError), api_tokens_of(settings) as tokens:
        tokens.revoke_all(name, datetime.now(UTC))


def second_factor_of(name: str) -> str:
    """Where it is in Vault."""
    return f"gateway/people/{name}"


def withdraw(settings: Settings, name: str) -> None:
    """Forget the link that waits for him: he has his second factor from elsewhere, or is gone."""
    with suppress(StackError), enrolments_of(settings) as links:
        links.withdraw(name)


def forget(settings: Settings, name: str) -> None:
    """Destroy his second factor, and the link to it: somebody else may get the name."""
    withdraw(settings, name)
    with suppress(SecretNotFound), operator_client(settings=settings) as vault:
        vault.forget(second_factor_of(name))
