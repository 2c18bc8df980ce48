"""How Cloudflare's answers are wrapped: a result, a list's page, a refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WHEN = "2026-11-23T12:00:00.000000Z"

Fields = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What goes back; ``raw`` stands in for the document, and no status at all is a broken connection."""

    status: int
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        """As it goes over the wire."""
        return json.dumps(self.document).encode() if self.raw is None else self.raw


def failure(*errors: tuple[int, str]) -> Fields:
    """The envelope of a refusal."""
    told = [{"code": code, "message": message} for code, message in errors]
    return {"success": False, "errors": told, "messages": [], "result": None}


class Refusal(Exception):
    """A request that is not carried out."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, failure((code, message)))


def done(result: object) -> Fields:
    """The envelope of a success."""
    return {"success": True, "errors": [], "messages": [], "result": result}


def page(items: list[Fields], query: Mapping[str, str]) -> Fields:
    """One page of a list."""
    number, size = int(query.get("page", "1")), min(int(query.get("per_page", "100")), 5000)
    part = items[(number - 1) * size : number * size]
    info = {"page": number, "per_page": size, "count": len(part), "total_count": len(items)}
    return {**done(part), "result_info": {**info, "total_pages": -(-len(items) // size)}}
