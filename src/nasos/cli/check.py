"""``nasos check``: the security test, for people and for programs.

Rules: the findings are the answer (stdout); exit codes 0 clean, 1 findings, 2 usage, 3 could not tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from nasos import settings
from nasos.cli import output
from nasos.errors import EXIT_CLEAN
from nasos.finding import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nasos.checks import Rule

COLOURS: Final = {State.PASS: "green", State.FAIL: "red", State.SKIP: "bright_black", State.ERROR: "yellow",
                  State.WAIVED: "cyan"}  # fmt: skip


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP...]")
@click.option("--list", "listing", is_flag=True, help="Show what would be checked; check nothing.")
@output.json_option
def check(groups: tuple[str, ...], *, listing: bool, as_json: bool) -> int:
    """Test the security of the stack.

    Without a GROUP everything is tested: vault, tls, cloudflare, rotation, bot, host, secrets. Nothing is changed.
    Exit codes: 0 clean, 1 findings, 2 usage, 3 could not tell.
    """
    from nasos import checks

    rules = checks.select(groups)
    if listing:
        _list(rules, as_json=as_json)
        return EXIT_CLEAN
    from nasos.cli.target import target

    findings = checks.run(rules, target(settings.load()))
    code = checks.exit_code(findings)
    if as_json:
        output.document({"exit_code": code, "summary": checks.summary(findings), "findings": findings})
    else:
        for line in checks.text(findings, lambda state, shown: click.style(shown, fg=COLOURS[state])):
            output.say(line)
    return code


def _list(rules: Sequence[Rule], *, as_json: bool) -> None:
    if as_json:
        names = ("id", "title", "severity", "why", "fix", "docs", "needs")
        output.document([{name: getattr(rule, name) for name in names} for rule in rules])
        return
    width = max(len(rule.id) for rule in rules)
    for rule in rules:
        output.say(f"{rule.id:<{width}}  {rule.severity:<8}  {rule.title}")
