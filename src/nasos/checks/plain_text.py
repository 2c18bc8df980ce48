"""Secrets in ``.env`` and ``nasos.toml``: by name and by shape; what is found is named, never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nasos.secret import Redactor
from nasos.settings import ENVIRONMENT_KEYS

_SECRET_NAME: Final = re.compile(
    r"FREQTRADE__\w+(?:KEY|SECRET|PASSWORD|TOKEN|DB_URL|WEBHOOK_URL|URL)"
    r"|\w*(?:PASSWORD|PASSWD|SECRET|SECRET_KEY|API_KEY|APIKEY|PRIVATE_KEY|TOKEN)",
    re.IGNORECASE,
)
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(\S.*)")
_REFERENCE: Final = re.compile(
    r"""["']?(?:\$\{?\w+\}?|<[^>]*>|REDACTED|changeme|xxx+|/[\w./-]+|)["']?""", re.IGNORECASE
)
"""Values that are no secrets: a variable, a placeholder, a path, nothing."""


def plain_env(path: Path) -> Iterator[str]:
    """Names in a ``.env`` that hold secrets and have no business there.

    Vault's and Cloudflare's own names are documented for it; settings see to it that the file is private then.
    """
    for line in _lines(path):
        match = _LINE.fullmatch(line)
        if match and match[1] not in ENVIRONMENT_KEYS and _SECRET_NAME.fullmatch(match[1]):
            value = re.split(r"\s#", match[2], maxsplit=1)[0].strip()
            if not value.startswith("#") and not _REFERENCE.fullmatch(value):
                yield match[1]


def plain_toml(path: Path) -> Iterator[str]:
    """Lines of a ``nasos.toml`` that hold something of a secret's shape."""
    shapes = Redactor()
    yield from (f"line {number}" for number, line in enumerate(_lines(path), 1) if shapes.redact(line) != line)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").split("\n") if path.is_file() else []
