"""Which role may send which request to freqtrade: what is unknown or oddly written is denied.

Rules:

* Denied by default. An endpoint that a later freqtrade adds is nobody's until it stands in `endpoints`.
* The path is judged as the client wrote it. Nothing is decoded, collapsed or case-folded, because the next program
  would do it in another way: an encoded or doubled slash, a dot segment, ``;``, a backslash or a slash at the end is
  refused, whoever asks (CWE-436; nginx, Starlette and Tomcat each read ``/a/..;/b`` differently).
* A header by which some frameworks take another method or path than the one in the first line is refused, although
  freqtrade reads none of them.
* A decision says which rule made it, and quotes nothing of the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nasos.gateway import endpoints


class Role(StrEnum):
    """What a person or a machine may do; each role may do all that the one before it may."""

    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do all that ``other`` may."""
        return _RANK[self] >= _RANK[other]


_RANK: Final = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request; true when it may pass."""

    allowed: bool
    reason: str
    """For the log: the rule that said so; never a part of the request, which could hold a secret."""
    endpoint: str | None = None
    """The endpoint as freqtrade names it (``/api/v1/trades/{tradeid}``); None for an unknown one."""

    def __bool__(self) -> bool:
        return self.allowed


def decide(role: Role, method: str, target: str, headers: Iterable[str] = ()) -> Decision:
    """Whether ``role`` may send this request.

    ``target`` is what the client sent (nginx's ``$request_uri``), not decoded and not normalised; a query may follow.
    ``headers``: the names of the request's headers, of which those that change the method or the path are refused.
    """
    path, _, _ = target.partition("?")
    if any(name.lower() in _OVERRIDES for name in headers):
        return Decision(False, "a header that overrides method or path")
    found = _EXACT.get((method, path)) or _by_pattern(method, path)
    if found is None:
        return Decision(False, _oddity(path) or "no endpoint that anybody may use")
    least, endpoint = found
    if role.includes(least):
        return Decision(True, f"{role} includes {least}", endpoint)
    return Decision(False, f"needs the role {least}", endpoint)


_OVERRIDES: Final = frozenset({
    "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url",
})  # fmt: skip
"""Rails, Symfony, Laravel and Express take the method from one of the first three; Symfony and IIS the path from the
last two (CVE-2018-14773)."""

_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""A strategy, a job, a file. It begins with no dot."""
_NUMBER: Final = r"[0-9]{1,18}"
_NUMBERS: Final = frozenset({"tradeid", "trade_id", "lockid"})
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")


def _rules() -> dict[tuple[str, str], tuple[Role, str]]:
    """Method and path -> the least role, and the path's name in a decision."""
    blocks = (
        (Role.VIEWER, endpoints.listed(endpoints.VIEWER)),
        (Role.VIEWER, endpoints.listed(endpoints.PAGES, "")),
        (Role.TRADER, endpoints.listed(endpoints.TRADER)),
        (Role.ADMIN, endpoints.listed(endpoints.ADMIN)),
    )
    return {(method, path): (role, path) for role, block in blocks for method, path in block}


def _expression(path: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(path)  # text, name, text, name, ..., text
    for place in range(0, len(parts), 2):
        parts[place] = re.escape(parts[place])
    for place in range(1, len(parts), 2):
        parts[place] = _NUMBER if parts[place] in _NUMBERS else _NAME
    return re.compile("".join(parts), re.ASCII)


RULES: Final[Mapping[tuple[str, str], tuple[Role, str]]] = _rules()
_EXACT: Final = {key: rule for key, rule in RULES.items() if "{" not in key[1]}
_PATTERNS: Final = [(key[0], _expression(key[1]), rule) for key, rule in RULES.items() if "{" in key[1]]


def _by_pattern(method: str, path: str) -> tuple[Role, str] | None:
    """The rule of a path with a name or number in it. A path that is written out elsewhere has its own rule."""
    for listed, expression, rule in _PATTERNS:
        if listed == method and expression.fullmatch(path):
            return rule
    return None


_ODDITIES: Final = (
    ("%", "an encoded character in the path"),
    ("\\", "a backslash in the path"),
    (";", "a path parameter"),
    ("//", "an empty path segment"),
    ("/.", "a path segment that begins with a dot"),
)


def _oddity(path: str) -> str | None:
    """What is wrong with how the path is written; None when it is only unknown."""
    for sign, oddity in _ODDITIES:
        if sign in path:
            return oddity
    if not path.startswith("/"):
        return "no path"
    return "a slash at the end of the path" if len(path) > 1 and path.endswith("/") else None
