"""What else looks like a secret: by its name, by its shape, by how random it is. Told, never moved, never shown."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from nasos.bot.known import holds_login
from nasos.secret import Redactor

_NAME: Final = re.compile(
    r"secret|token|passw|passphrase|credential|private_?key|webhook|(?:api|access|auth)_?key|_key$|^key$", re.IGNORECASE
)
_NO_NAME: Final = re.compile(r"^(?:\$schema|.*_(?:name|path|file|dir|template))$", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(
    r"|\**x*|redacted|changeme|example|(?:your|my|the)[ _-].*|\{.*\}|\$\{?\w+\}?", re.IGNORECASE
)
_WORD: Final = re.compile(r"[A-Za-z0-9+_=-]{20,}")
_SHAPES: Final = Redactor()

LEAST_BITS: Final = 3.5
"""Shannon entropy per character: 20 random characters of hexadecimal have about 3.3 to 3.7, of base64 4 and more;
English words joined by signs stay below it, mostly for want of digits, which are asked for besides."""
_DIGITS: Final = 3  # of 20 random characters of base64 about three are; names of strategies have one or two


def suspects(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Dotted keys of a configuration that look like secrets, and why."""
    for keys, text in _texts(config, ()):
        reason = suspicious(keys[-1], text)
        if reason:
            yield ".".join(keys), reason


def suspicious(name: str, text: str) -> str | None:
    """Why ``text`` under ``name`` looks like a secret; None when it does not."""
    if _PLACEHOLDER.fullmatch(text) or _NO_NAME.match(name):
        return None
    if _NAME.search(name):
        return "by its name"
    return suspicious_text(text)


def suspicious_text(text: str) -> str | None:
    """The same without a name, as in a comment."""
    if holds_login(text):
        return "a URL with a login"
    if _SHAPES.redact(text) != text:
        return "by its shape"
    return "it is random" if any(map(_random, _WORD.findall(text))) else None


def _random(word: str) -> bool:
    counts = Counter(word)
    bits = -sum(count / len(word) * math.log2(count / len(word)) for count in counts.values())
    digits = sum(sign.isdigit() for sign in word)
    return bits >= LEAST_BITS and digits >= _DIGITS and any(sign.isalpha() for sign in word)


def _texts(value: object, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str) and keys:
        yield keys, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*keys, str(key)))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _texts(each, (*keys, str(index)) if not isinstance(each, str) else keys)
