"""Records written with proof, and only our own versions removed.

Rules: check-and-set from the version that was seen at the beginning, read back afterwards; a write whose answer was
lost is looked for before it is repeated. Going back removes what we wrote and nothing else: what was there before
becomes the newest version again, and what somebody wrote since stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from nasos.bot.moving.journal import Stored
from nasos.errors import BotError, CheckAndSetMismatch, OutcomeUnknown, SecretDeleted, SecretNotFound
from nasos.secret import Secret
from nasos.vault.store import SecretStore

Fields = Mapping[str, Secret]


def newest(store: SecretStore, path: str) -> tuple[int, Fields]:
    """The newest version's number and fields; 0 and none when there never was one."""
    try:
        record = store.read(path)
    except SecretNotFound:
        return 0, {}
    except SecretDeleted:
        return store.metadata(path).current, {}
    return record.version, record.fields


def put(store: SecretStore, entry: Stored, fields: Fields) -> int:
    """See to it that ``fields`` are the newest version; its number.

    Raises:
        BotError: Somebody else wrote the record since, or it reads back as something else.
    """
    version, held = newest(store, entry.path)
    if version == entry.before:
        with contextlib.suppress(OutcomeUnknown, CheckAndSetMismatch):  # it may have been ours: the look below tells
            store.write(entry.path, fields, cas=entry.before)
        version, held = newest(store, entry.path)
    if version != entry.before + 1 or dict(held) != dict(fields):
        raise BotError(
            f"{entry.path} is not what was stored there: somebody else wrote it meanwhile",
            f"nasos secret history {entry.path}; then nasos bot import --undo, and begin again",
        )
    return version


def take_back(store: SecretStore, entry: Stored, wanted: Fields | None) -> str | None:
    """Remove our version; what the operator should know, if anything."""
    version, held = newest(store, entry.path)
    ours = entry.version or entry.before + 1
    if version < ours or (not entry.version and wanted is not None and not holds(held, wanted)):
        return None  # nothing of ours is there
    if version == ours and not entry.before:
        store.forget(entry.path)
        return None
    earlier = _earlier(store, entry)
    if version == ours:
        if earlier is None:
            store.delete(entry.path, [ours])
        else:
            store.write(entry.path, earlier, cas=version)
    store.destroy(entry.path, [ours])
    if version == ours or (version == ours + 1 and earlier is not None and holds(held, earlier)):
        return None
    return f"{entry.path} was written again since (version {version}); that one stays"


def free(store: SecretStore, path: str, wanted: Fields) -> bool:
    """Whether nothing is stored there, or just this."""
    version, held = newest(store, path)
    return not version or holds(held, wanted)


def holds(held: Fields, wanted: Fields) -> bool:
    """Whether every wanted field is there with its value."""
    return all(field in held and held[field] == value for field, value in wanted.items())


def _earlier(store: SecretStore, entry: Stored) -> Fields | None:
    """What stood there before us; None where that was nothing, or deleted."""
    try:
        return store.read(entry.path, entry.before).fields if entry.before else None
    except (SecretDeleted, SecretNotFound):
        return None
