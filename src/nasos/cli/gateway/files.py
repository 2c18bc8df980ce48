"""The gateway's database, opened as the gateway's user: what root made there, the gateway could not use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from nasos.gateway.api_tokens import ApiTokens
from nasos.gateway.enrolments import Enrolments
from nasos.gateway.sessions import Sessions
from nasos.gateway.storage import Storage
from nasos.settings import Settings
from nasos.stack.embedded import Stack
from nasos.stack.housekeeping.rotate import acting_as
from nasos.stack.users import Users


@contextmanager
def sessions_of(settings: Settings) -> Iterator[Sessions]:
    """The sessions of the local stack's gateway.

    Raises:
        StackError: There is no stack here.
    """
    with _acting(settings) as path, closing(Sessions.open(path)) as opened:
        yield opened


@contextmanager
def api_tokens_of(settings: Settings) -> Iterator[ApiTokens]:
    """The API tokens of the local stack's gateway.

    Raises:
        StackError: There is no stack here.
    """
    with _acting(settings) as path, closing(ApiTokens.open(path)) as opened:
        yield opened


@contextmanager
def enrolments_of(settings: Settings) -> Iterator[Enrolments]:
    """The one-time links of the local stack's gateway.

    Raises:
        StackError: There is no stack here.
    """
    with _acting(settings) as path, closing(Storage.open(path)) as opened:
        yield Enrolments(opened)


@contextmanager
def _acting(settings: Settings) -> Iterator[Path]:
    home = Stack.existing(settings).home
    with acting_as(Users.of_this_process().owner("gateway")):
        yield home.root / "gateway" / "sessions.db"
