"""What Cloudflare answers, as typed structs.

Rules: an answer that is not the documented envelope is none; what is not known of a result is left alone (fields are
added over time), what we use of it has to have its type.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Trouble(msgspec.Struct, frozen=True):
    """One entry of ``errors``."""

    code: int = 0
    message: str = ""
    error_chain: tuple[Trouble, ...] = ()


class PageInfo(msgspec.Struct, frozen=True):
    """``result_info`` of a list."""

    page: int
    per_page: int
    total_count: int


class Envelope(msgspec.Struct, frozen=True):
    """Every answer of the API."""

    success: bool
    errors: tuple[Trouble, ...] | None = ()
    result: msgspec.Raw = msgspec.Raw(b"null")
    result_info: PageInfo | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list."""

    items: tuple[T, ...]
    info: PageInfo


class TokenState(msgspec.Struct, frozen=True):
    """What Cloudflare says of a token."""

    id: str
    status: str
    """``active``, ``disabled`` or ``expired``."""
    expires_on: datetime | None = None
    not_before: datetime | None = None


class Plan(msgspec.Struct, frozen=True):
    """What is paid for a zone."""

    legacy_id: str = ""
    """``free``, ``pro``, ``business`` or ``enterprise``."""


class Account(msgspec.Struct, frozen=True):
    """Whose a zone is."""

    id: str = ""


class Zone(msgspec.Struct, frozen=True):
    """A domain."""

    id: str
    name: str
    status: str | None = None
    """``active``; ``pending`` and ``moved`` zones are not Cloudflare's to answer for."""
    plan: Plan = Plan()
    account: Account = Account()
    permissions: tuple[str, ...] | None = None
    """Of this token in this zone, like ``#dns_records:edit``; not every token is told."""


class Record(msgspec.Struct, frozen=True):
    """A DNS record as it is."""

    id: str
    name: str
    type: str
    content: str | None = None
    proxied: bool | None = None
    ttl: int = 1
    comment: str | None = None


class Batched(msgspec.Struct, frozen=True):
    """What a batch has done."""

    deletes: tuple[Record, ...] | None = ()
    patches: tuple[Record, ...] | None = ()
    posts: tuple[Record, ...] | None = ()
