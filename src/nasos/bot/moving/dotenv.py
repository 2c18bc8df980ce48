"""``FREQTRADE__`` variables of an ``.env``, each with the bytes that it takes up.

Rules: lines of others are not ours, and stay byte for byte; what freqtrade makes of a variable's text, this makes of it
too, except for secrets: those stay text (freqtrade turns ``SECRET=1e10`` into a number, and a leading zero is lost).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from nasos.bot.configuration import merged
from nasos.bot.known import places
from nasos.errors import BotError

PREFIX: Final = "FREQTRADE__"
_CCXT: Final = ("ccxt_config", "ccxt_sync_config", "ccxt_async_config")
_UNTYPED: Final = ("CHAT_ID", "PASSWORD")

_ASSIGNMENT: Final = re.compile(
    rb"""^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*"""
    rb"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\r\n]*))[^\r\n]*(?:\r?\n|\Z)""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One assignment."""

    name: str
    text: str
    span: tuple[int, int]
    """Its bytes in the file, line end included."""
    line: int

    @property
    def keys(self) -> tuple[str, ...]:
        """Where freqtrade puts it; empty for other programs' names."""
        if not self.name.startswith(PREFIX):
            return ()
        parts = self.name.removeprefix(PREFIX).split("__")
        keys = [part.lower() for part in parts]
        # ccxt's names are camelCase: freqtrade keeps the case of the last part for them.
        if keys[0] == "exchange" and any(key in _CCXT for key in keys):
            keys[-1] = parts[-1]
        return tuple(keys)


def variables(raw: bytes, name: str) -> tuple[Variable, ...]:
    """Every assignment of the file; ``name`` is for the error.

    Raises:
        BotError: A value is no UTF-8; names the line.
    """
    found = []
    for match in _ASSIGNMENT.finditer(raw):
        line = raw.count(b"\n", 0, match.start()) + 1
        plain = match["plain"]
        value = match["double"] or match["single"] or b"" if plain is None else re.split(rb"(?:^|\s)#", plain)[0]
        try:
            text = (value.strip() if plain is not None else value).decode()
        except UnicodeDecodeError:
            raise BotError(f"{name} line {line} is not UTF-8", f"file {name}") from None
        found.append(Variable(match["name"].decode(), text, match.span(), line))
    return tuple(found)


def configured(assignments: Iterable[Variable]) -> dict[str, object]:
    """What freqtrade would read from them, secrets as the text that they are."""
    result: dict[str, object] = {}
    for each in sorted(assignments, key=lambda variable: variable.name):
        keys = each.keys
        if keys:
            text = _nested(keys, each.text)
            untyped = any(places(text)) or keys == ("db_url",) or each.name.rpartition("__")[2] in _UNTYPED
            result = merged(result, text if untyped else _nested(keys, _typed(each.text)))
    return result


def without(raw: bytes, gone: Iterable[Variable]) -> bytes:
    """The file without these assignments, everything else as it was."""
    for each in sorted(gone, key=lambda variable: -variable.span[0]):
        raw = raw[: each.span[0]] + raw[each.span[1] :]
    return raw


def _nested(keys: tuple[str, ...], value: object) -> dict[str, object]:
    for key in reversed(keys):
        value = {key: value}
    return value if isinstance(value, dict) else {}


def _typed(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    words: Mapping[str, bool] = {"t": True, "true": True, "f": False, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list) else text
