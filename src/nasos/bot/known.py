"""Where secrets stand in a freqtrade configuration, and which Vault field each of them becomes.

Rules: by freqtrade's own names (its schema, and what ccxt takes), never by guess; what else looks like a secret is
told to the operator and left to him (`moving/suspects.py`). The login of ``db_url`` is not among them: it is a record
of another kind (`database.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nasos.bot.document import ALIASES, FIELDS, NESTED, SECTIONS

_CCXT: Final = frozenset(
    {"apiKey", "secret", "password", "uid", "login", "token", "twofa", "privateKey", "walletAddress", "headers"}
)
_LOGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*@", re.IGNORECASE)
"""A URL with a login in it, as proxies have it (RFC 3986, section 3.2.1)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One value of a configuration that belongs into Vault."""

    keys: tuple[str, ...]
    """The way to it."""
    record: str
    """Name below ``bots/<bot>/``."""
    field: str

    @property
    def dotted(self) -> str:
        """As people write it."""
        return ".".join(self.keys)


def places(config: Mapping[str, object]) -> Iterator[Place]:
    """Every place that is there, strongest alias first, whatever its value."""
    for record, section in SECTIONS.items():
        content = config.get(section)
        if isinstance(content, Mapping):
            known = ALIASES if record == "exchange" else {}
            yield from (
                Place((section, field), record, known.get(field, field)) for field in FIELDS[record] if field in content
            )
    for record, (section, *below) in NESTED.items():
        content = config.get(section)
        for key in below:
            content = content.get(key) if isinstance(content, Mapping) else None
        for key, value in content.items() if isinstance(content, Mapping) else ():
            if _with_token(key, value) if record == "consumer" else key in _CCXT or holds_login(value):
                yield Place((section, *below, key), record, key)


def holds_login(value: object) -> bool:
    """Whether a URL with a login stands anywhere in ``value``."""
    if isinstance(value, str):
        return _LOGIN.match(value) is not None
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return any(map(holds_login, inner))


def remove(config: dict[str, object], place: Place) -> None:
    """Take the key away; the sections around it stay."""
    *way, last = place.keys
    content: object = config
    for key in way:
        content = content.get(key) if isinstance(content, dict) else None
    if isinstance(content, dict):
        content.pop(last, None)


def value_at(config: Mapping[str, object], keys: tuple[str, ...]) -> object:
    """What stands there; None where nothing does."""
    content: object = config
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _with_token(key: str, producers: object) -> bool:
    """Lists are replaced as a whole by freqtrade, so all producers go into Vault when one of them has a token."""
    listed = producers if key == "producers" and isinstance(producers, list) else ()
    return any(isinstance(producer, Mapping) and producer.get("ws_token") for producer in listed)
