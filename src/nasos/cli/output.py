"""What people and programs see.

Rules: answers go to stdout, everything else to stderr; errors are ``nasos: error: ...`` and ``nasos: hint: ...``,
lower case, no full stop; ``--json`` prints exactly one JSON document whose shape is in docs/json.md. Nothing here
accepts a ``Secret`` except ``reveal``, which ``nasos secret get`` alone calls, and ``qr`` for a new second factor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from nasos.errors import Error
from nasos.secret import Redactor, Secret


def report(error: Error) -> None:
    """Print an error and its hint to stderr."""
    redact = Redactor().redact
    click.echo(f"nasos: error: {redact(error.message)}", err=True)
    if error.hint:
        click.echo(f"nasos: hint: {redact(error.hint)}", err=True)


def note(text: str) -> None:
    """A line for the person at the terminal, on stderr."""
    click.echo(text, err=True)


def say(text: str = "") -> None:
    """A line of the answer, on stdout."""
    click.echo(text)


def document(data: object) -> None:
    """The whole answer as one JSON document on stdout."""
    encoded = msgspec.json.format(msgspec.json.encode(data), indent=2)
    sys.stdout.write(encoded.decode() + "\n")


def reveal(secret: Secret) -> None:
    """Print a secret's value to stdout: only for ``nasos secret get``, when the operator asked for it."""
    sys.stdout.write(secret.reveal())
    if sys.stdout.isatty():
        sys.stdout.write("\n")


def qr(secret: Secret) -> None:
    """A secret as a picture that a telephone reads: only for a new second factor, which its owner asked for."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make(secret.reveal(), error="l").terminal(out=drawn, compact=True)
    click.echo(drawn.getvalue())


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The ``--json`` flag, passed to the command as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)
