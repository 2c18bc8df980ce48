"""Which value becomes which Vault field, and the configuration without them. No IO here.

Rules:

* A secret key is *absent* afterwards, in every file: an empty ``api_key`` in a file would beat ours (`document.py`).
* What freqtrade would have used is what goes into Vault: the strongest layer, the first alias. A value that was
  overridden is taken out all the same, told, and kept in the backup only.
* ``merged(cleaned) + document(records)`` is what the old bot had, except for what is told.
* A value that freqtrade could not have used (a list for a key) is refused before anything is done; a number is told and
  becomes text, an empty one is told and dropped.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nasos.bot.configuration import merged
from nasos.bot.document import NESTED
from nasos.bot.known import Place, places, remove, value_at
from nasos.bot.packed import pack
from nasos.errors import BotError
from nasos.secret import Secret


@dataclass(frozen=True, slots=True)
class Layer:
    """A file or the environment, as far as it configures."""

    name: str
    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Lifted:
    """The configuration, taken apart."""

    records: Mapping[str, Mapping[str, Secret]]
    """Record name -> fields."""
    cleaned: tuple[dict[str, object], ...]
    """One per layer: the same without secrets and without ``db_url``."""
    moved: tuple[tuple[str, str], ...]
    """(where it stood, record and field), for the plan."""
    remarks: tuple[str, ...]
    database: object
    """``db_url`` as it was, login and all; None where nobody said."""


def lift(layers: Sequence[Layer]) -> Lifted:
    """Take the secrets out of ``layers``, weakest first.

    Raises:
        BotError: A secret has a type that freqtrade could not have used; names layer and key.
    """
    whole = merged(*(layer.content for layer in layers))
    records: dict[str, dict[str, Secret]] = {}
    winners: dict[tuple[str, str], tuple[Place, object]] = {}
    for place in places(whole):
        value = value_at(whole, place.keys)
        taken = winners.get((place.record, place.field))
        if value in (None, "", [], {}) or taken is not None:
            continue
        records.setdefault(place.record, {})[place.field] = _field(place, value, layers)
        winners[place.record, place.field] = (place, value)
    cleaned = tuple(_cleaned(layer.content) for layer in layers)
    return Lifted(
        records,
        cleaned,
        tuple((_stands(place, layers), f"{place.record}: {place.field}") for place, _ in winners.values()),
        tuple(dict.fromkeys(_remarks(layers, winners))),
        whole.get("db_url"),
    )


def _cleaned(content: Mapping[str, object]) -> dict[str, object]:
    result = copy.deepcopy(dict(content))
    for place in list(places(result)):
        remove(result, place)
    result.pop("db_url", None)
    return result


_LISTS: Final = ("authorized_users", "ws_token")


def _field(place: Place, value: object, layers: Sequence[Layer]) -> Secret:
    if place.record in NESTED:
        return pack(value)
    if isinstance(value, str):
        return pack(value) if place.field == "ws_token" else Secret(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Secret(str(value))
    texts = [str(each) for each in value if isinstance(each, str | int)] if isinstance(value, list) else []
    if place.field in _LISTS and isinstance(value, list) and len(texts) == len(value):
        return pack(texts) if place.field == "ws_token" else Secret(",".join(texts))
    kind = {bool: "true or false", list: "a list", dict: "an object", float: "a fraction"}.get(type(value), "no text")
    raise BotError(f"{_stands(place, layers)} is {kind}, and freqtrade takes text there", "write it in quotes")


def _stands(place: Place, layers: Sequence[Layer]) -> str:
    named = [layer.name for layer in layers if value_at(layer.content, place.keys) not in (None, "")]
    return f"{place.dotted} in {named[-1] if named else layers[-1].name}"


def _remarks(layers: Sequence[Layer], winners: Mapping[tuple[str, str], tuple[Place, object]]) -> Iterator[str]:
    for layer in layers:
        for place in places(layer.content):
            value = value_at(layer.content, place.keys)
            where = f"{place.dotted} in {layer.name}"
            if value in (None, "", [], {}):
                yield f"{where} is empty and is taken out"
                continue
            winner = winners.get((place.record, place.field))
            if winner is None or (value != winner[1] and not isinstance(value, dict)):
                yield f"{where} is overridden; it goes to the backup only"
            elif isinstance(value, int):
                yield f"{where} is a number; it is stored as text, which freqtrade wants"
