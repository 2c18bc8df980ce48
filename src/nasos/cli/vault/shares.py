"""Key shares as a person gives them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from nasos.secret import Secret


def asked_shares() -> Iterator[Secret]:
    """Asked for without echo at a terminal, else one per line of standard input; never from argv."""
    if sys.stdin.isatty():
        while True:
            yield Secret(click.prompt("key share", hide_input=True, err=True).strip())
    for line in sys.stdin:
        if line.strip():
            yield Secret(line.strip())
