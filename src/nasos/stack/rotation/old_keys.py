"""Keys of before that may still be alive at the exchange, and how they are proven dead.

Rules: nothing is stored about them: a version in Vault that can be read and holds another key than the current one is
one that nobody has proven dead. Proven is what the exchange itself refuses as unknown or expired; where its answer has
other meanings too, the word of whoever deleted the key is needed with it. Then its versions are put away (deleted, not
destroyed: they can be brought back until they are pruned). A restart forgets nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nasos.errors import ExchangeError, UsageError
from nasos.exchange.key import GONE, MAYBE_GONE, ApiKey, Refused, key_of
from nasos.secret import Secret
from nasos.stack.rotation.exchange import Ask
from nasos.vault.store import SecretStore


@dataclass(frozen=True, slots=True)
class OldKey:
    """A key of before, not proven dead."""

    key: ApiKey
    versions: tuple[int, ...]
    """All that hold it, newest first."""


class Fate(enum.StrEnum):
    """What became of an old key."""

    DEAD = "dead"
    ALIVE = "alive"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Buried:
    """What the exchange said of an old key."""

    old: OldKey
    fate: Fate
    evidence: str


def old_keys(store: SecretStore, name: str) -> list[OldKey]:
    """Keys of before at ``name`` that are not proven dead, the newest first.

    Raises:
        VaultError: Vault cannot be asked.
    """
    found: list[tuple[ApiKey, list[int]]] = []
    current = store.read(f"nasos/{name}")
    ours = _key(current.fields)
    for number, key in _before(store, name, current.version):
        if ours is not None and key.key == ours.key:
            continue
        known = next((versions for other, versions in found if other.key == key.key), None)
        if known is None:
            found.append((key, [number]))
        else:
            known.append(number)
    return [OldKey(key, tuple(versions)) for key, versions in found]


def bury(store: SecretStore, name: str, old: OldKey, ask: Ask, *, said_deleted: bool) -> Buried:
    """Ask the exchange about an old key, and put its versions away when it is dead.

    ``said_deleted``: its owner says that he deleted it.

    Raises:
        VaultError: Vault cannot be asked.
    """
    try:
        answer = ask(old.key)
    except ExchangeError as error:
        return Buried(old, Fate.UNTOLD, error.message)
    if not isinstance(answer, Refused):
        return Buried(old, Fate.ALIVE, "the exchange still accepts it")
    if answer.why in GONE or (said_deleted and answer.why in MAYBE_GONE):
        store.delete(f"nasos/{name}", old.versions)
        return Buried(old, Fate.DEAD, f"the exchange refuses it: {answer}")
    return Buried(old, Fate.UNTOLD, f"the exchange says: {answer}")


def _before(store: SecretStore, name: str, current: int) -> Iterator[tuple[int, ApiKey]]:
    for version in reversed(store.history(f"nasos/{name}")):
        if version.number >= current or version.deleted or version.destroyed:
            continue
        key = _key(store.read(f"nasos/{name}", version.number).fields)
        if key is not None:
            yield version.number, key


def _key(fields: Mapping[str, Secret]) -> ApiKey | None:
    try:
        return key_of(fields)
    except UsageError:
        return None
