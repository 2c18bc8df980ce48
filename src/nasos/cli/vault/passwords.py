"""Passwords as a person gives them: without echo at a terminal, else one line of standard input; never from argv."""

from __future__ import annotations

import sys

import click

from nasos.errors import UsageError
from nasos.secret import Secret


def password(prompt: str = "password") -> Secret:
    """One that exists.

    Raises:
        UsageError: Nothing was given.
    """
    if sys.stdin.isatty():
        return Secret(click.prompt(prompt, hide_input=True, err=True))
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise UsageError(f"no {prompt} was given", "type it at a terminal, or give it as one line of standard input")
    return Secret(line)


def new_password(prompt: str = "new password") -> Secret:
    """One that is being chosen: typed twice at a terminal."""
    if sys.stdin.isatty():
        return Secret(click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True))
    return password(prompt)
