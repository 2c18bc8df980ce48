"""Which checks there are, by group. A group is a module with a tuple ``RULES``; it is imported when it is asked for.

To add a check: write a function under ``@rule(...)`` in its group's module, put it into that module's ``RULES`` and
its id into docs/check.md. To add a group: a module and a line here.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Final

from nasos.checks.rule import Rule
from nasos.errors import UsageError

GROUPS: Final[Mapping[str, str]] = {
    "vault": "nasos.checks.vault",
    "tls": "nasos.checks.tls",
    "cloudflare": "nasos.checks.cloudflare",
    "rotation": "nasos.checks.rotation",
    "bot": "nasos.checks.bot",
    "host": "nasos.checks.host",
    "secrets": "nasos.checks.exposure",
}
"""Group -> module, in the order of the report."""


def select(groups: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules of these groups (of all, when none is named), with the rules that they need, in report order.

    Raises:
        UsageError: A group does not exist.
    """
    wanted = tuple(groups) or tuple(GROUPS)
    for name in wanted:
        if name not in GROUPS:
            raise UsageError(f"there is no group of checks called {name}", f"known: {', '.join(GROUPS)}")
    chosen = {rule.id for name in wanted for rule in _rules(name)}
    while missing := {need for each in _known(chosen) for need in each.needs} - chosen:
        chosen |= missing
    return _known(chosen)


def _known(ids: set[str]) -> tuple[Rule, ...]:
    groups = [name for name in GROUPS if any(each.startswith(f"{name}.") for each in ids)]
    return tuple(rule for name in groups for rule in _rules(name) if rule.id in ids)


def _rules(group: str) -> tuple[Rule, ...]:
    rules: tuple[Rule, ...] = importlib.import_module(GROUPS[group]).RULES
    return rules
