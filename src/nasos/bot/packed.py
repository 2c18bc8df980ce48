"""A value that is no text as the text of a Vault field, and back: headers, proxies, several tokens.

Rules: a text stays itself, so that people read and write it as it is; anything else, and a text that could be taken
for something else, is JSON. What comes back has its texts as `Secret` and holds everything that went in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nasos.secret import Secret

_MARKS: Final = ("{", "[", '"')
_ORDINARY: Final = frozenset({"host", "name"})
"""Names inside of a structure whose values are words of everyday log lines."""


def pack(value: object) -> Secret:
    """``value`` (what JSON can hold) as the content of one field."""
    if isinstance(value, str) and not value.startswith(_MARKS):
        return Secret(value)
    return Secret(json.dumps(value, ensure_ascii=False))


def unpack(value: Secret) -> object:
    """What was packed, with every text in it as a `Secret`."""
    text = value.reveal()
    if not text.startswith(_MARKS):
        return value
    try:
        return _sealed(json.loads(text))
    except (ValueError, RecursionError):
        return value  # a text of the operator's own that only begins like JSON


def plain(value: Secret) -> object:
    """What was packed, as freqtrade reads it."""
    text, packed = value.reveal(), unpack(value)
    return text if packed is value else json.loads(text)


def inner(values: Iterable[Secret]) -> Iterator[Secret]:
    """The texts in packed values, for the redactor."""
    for value in values:
        yield from map(Secret, leaves(unpack(value)))


def leaves(value: object) -> Iterator[str]:
    """The texts in a structure, sealed or not, that must not be seen."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            if name not in _ORDINARY:
                yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)


def _sealed(value: object) -> object:
    if isinstance(value, str):
        return Secret(value)
    if isinstance(value, dict):
        return {name: _sealed(each) for name, each in value.items()}
    return [_sealed(each) for each in value] if isinstance(value, list) else value
