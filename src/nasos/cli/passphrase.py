"""A passphrase as a person gives it: without echo at a terminal, else a line of standard input; never from argv."""

from __future__ import annotations

import sys

import click

from nasos.errors import UsageError
from nasos.secret import Secret


def asked(what: str = "passphrase", *, twice: bool = False, instead: str = "") -> Secret:
    """One passphrase; at a terminal ``twice`` where it is a new one. ``instead``: another way, for the hint.

    Raises:
        UsageError: Standard input has no such line.
    """
    if sys.stdin.isatty():
        return Secret(click.prompt(what, hide_input=True, err=True, confirmation_prompt=twice))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        ways = ["type it", "give it as the first line of stdin", *([instead] if instead else [])]
        raise UsageError(f"no {what} was given", ", ".join(ways))
    return Secret(line)
