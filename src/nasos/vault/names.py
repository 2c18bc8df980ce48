"""What may be a secret's name, a field's name and a field's value.

Rules: a segment is ``[A-Za-z0-9_][A-Za-z0-9._-]{0,63}`` and a path has at most 8, so that no name can climb
(``..``), hide (``//``, control characters) or mean something else to Vault's URL, a policy's glob or a shell.
Values are strings: audit devices hash strings only. A refused name is shown; a refused value never is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from nasos.errors import NameRefused, UsageError
from nasos.secret import Secret

MOST_SEGMENTS: Final = 8

# Limits of KV v2's custom metadata, the same on Vault and OpenBao ("custom_metadata validation failed").
MOST_METADATA: Final = 64
LONGEST_METADATA_KEY: Final = 128
LONGEST_METADATA_VALUE: Final = 512

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_ALPHABET: Final = "use letters, digits, and . _ - (not first: . -), at most 64 characters between slashes"


def secret_path(text: str) -> str:
    """``text``, if it can be a secret's path.

    Raises:
        NameRefused: A segment is empty, too long or has a character outside the alphabet; or there are too many.
    """
    segments = text.split("/")
    if len(segments) > MOST_SEGMENTS:
        raise NameRefused(f"the name has {len(segments)} segments", f"use at most {MOST_SEGMENTS}")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise NameRefused(f"{text[:200]!r} cannot be a secret's name", _ALPHABET)
    return text


def folder_path(text: str) -> str:
    """``text`` without its last slash, if it can be a folder; empty is the top.

    Raises:
        NameRefused: As for `secret_path`.
    """
    return secret_path(text.removesuffix("/")) if text not in ("", "/") else ""


def field_values(fields: Mapping[str, str | Secret]) -> dict[str, Secret]:
    """``fields`` with every value as a `Secret`.

    Raises:
        NameRefused: A field's name is outside the alphabet.
        UsageError: There is no field, or a value is no Unicode text (a lone surrogate).
    """
    if not fields:
        raise UsageError("a secret needs at least one field", "give a value")
    values: dict[str, Secret] = {}
    for name, value in fields.items():
        if not _SEGMENT.fullmatch(name):
            raise NameRefused(f"{name[:200]!r} cannot be a field's name", _ALPHABET)
        secret = value if isinstance(value, Secret) else Secret(value)
        if any("\ud800" <= character <= "\udfff" for character in secret.reveal()):
            raise UsageError(f"the value of {name} is no Unicode text", "give UTF-8 text; encode binary as base64")
        values[name] = secret
    return values


def custom_metadata(custom: Mapping[str, str]) -> dict[str, str]:
    """``custom``, if KV v2 can hold it.

    Raises:
        UsageError: Too many, too long, empty or unprintable entries. Metadata is no place for secrets.
    """
    if len(custom) > MOST_METADATA:
        raise UsageError(f"custom metadata has {len(custom)} entries", f"use at most {MOST_METADATA}")
    for key, value in custom.items():
        fits = 0 < len(key.encode()) <= LONGEST_METADATA_KEY and 0 < len(value.encode()) <= LONGEST_METADATA_VALUE
        if not (fits and key.isprintable() and value.isprintable()):
            raise UsageError(
                f"the custom metadata {key[:40]!r} is empty, too long or unprintable",
                f"one line of at most {LONGEST_METADATA_VALUE} bytes",
            )
    return dict(custom)
