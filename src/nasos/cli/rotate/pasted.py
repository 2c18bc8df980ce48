"""An API key as a person gives it: at a prompt without echo, as lines, or as JSON.

Rules: never an argument, never an environment variable; what is not understood is named, never quoted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

import click
import msgspec

from nasos.bot.document import ALIASES, FIELDS
from nasos.errors import UsageError
from nasos.secret import Secret

LONGEST: Final = 64 << 10
"""Characters; a key pair in PEM has 3,000."""
_WORDS: Final[Mapping[str, str]] = {"api_key": "API key", "secret": "secret", "password": "passphrase"}


def pasted(wanted: Sequence[str]) -> dict[str, Secret]:
    """The fields of a new key, of which ``wanted`` are asked for.

    Raises:
        UsageError: A field is missing, or what was given cannot be understood.
    """
    if sys.stdin.isatty():
        prompts = {name: _WORDS.get(name, name) for name in wanted}
        given = {name: click.prompt(text, hide_input=True, err=True) for name, text in prompts.items()}
    else:
        given = _read(sys.stdin.read(LONGEST + 1), wanted)
    fields = {name: Secret(value.strip()) for name, value in given.items() if value.strip()}
    missing = [name for name in wanted if name not in fields]
    if missing:
        raise UsageError(
            f"no {missing[0]} was given", f'lines of standard input ({", ".join(wanted)}), or {{"{wanted[0]}": ...}}'
        )
    return fields


def _read(text: str, wanted: Sequence[str]) -> dict[str, str]:
    if len(text) > LONGEST:
        raise UsageError("what was given is too long for a key", f"lines: {', '.join(wanted)}")
    if not text.lstrip().startswith("{"):
        return dict(zip(wanted, text.strip().splitlines(), strict=False))
    try:
        given = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.MsgspecError:
        raise UsageError("what was given is no JSON object of texts", '{"api_key": "...", "secret": "..."}') from None
    unknown = sorted(given.keys() - set(FIELDS["exchange"]))
    if unknown:
        raise UsageError("the JSON object has a field that freqtrade does not know", ", ".join(FIELDS["exchange"][:7]))
    return {ALIASES.get(name, name): value for name, value in given.items()}
