"""Which records are ours: those whose comment begins with our marker, and no others.

Rules: what we write is what we look for (`comment` and `owns` are each other's test); a marker of another owner, or one
that only looks like ours, is not ours. Whoever takes the marker out of a record has it to himself. The comment costs no
record of its own: a Free zone holds 200 records, and comments of 100 characters.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from nasos.cloudflare.answers import Record

TYPES: Final = frozenset({"A", "AAAA", "CNAME"})
"""All that we ever make."""
LONGEST: Final = 100
"""Characters of a comment on a Free zone."""
LONGEST_SOURCE: Final = 60


@dataclass(frozen=True, slots=True)
class Owner:
    """One installation."""

    name: str
    """At most 31 characters: a-z, 0-9, ``-``."""

    @property
    def marker(self) -> str:
        """What a comment of ours begins with."""
        return f"nasos:{self.name}"

    def comment(self, source: str) -> str:
        """What is written."""
        return f"{self.marker} {source}"

    def owns(self, record: Record) -> bool:
        """Whether a record is ours to change."""
        comment = record.comment or ""
        return record.type in TYPES and (comment == self.marker or comment.startswith(f"{self.marker} "))

    def source(self, record: Record) -> str:
        """For which container a record of ours was made; empty when somebody shortened the comment."""
        return (record.comment or "").removeprefix(self.marker).strip()


def source_of(container: str) -> str:
    """A container's name as it fits into a comment; different names stay different."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", container)
    if clean == container and len(clean) <= LONGEST_SOURCE:
        return clean
    return f"{clean[: LONGEST_SOURCE - 9]}-{hashlib.sha256(container.encode()).hexdigest()[:8]}"
