"""Since when a secret has its present value: derived from the versions in Vault, never stored.

Rules: a unit is as old as its oldest part. A part of some fields is as old as the first version with these values;
where no kept version differs it is as old as its path: rotated too early rather than never.
"""

from __future__ import annotations

from datetime import datetime

from nasos.errors import SecretDeleted, SecretNotFound
from nasos.rotation.rotator import Part, Unit
from nasos.vault.store import SecretStore


def since(store: SecretStore, unit: Unit) -> datetime | None:
    """Since when; None where nothing is stored.

    Raises:
        VaultError: Vault cannot be asked.
    """
    if unit.since is not None:
        return unit.since()
    try:
        return min(_since(store, part) for part in unit.parts)
    except (SecretNotFound, SecretDeleted):
        return None


def _since(store: SecretStore, part: Part) -> datetime:
    path = f"nasos/{part.name}"
    known = store.metadata(path)
    if not part.fields and not (known.versions[-1].deleted or known.versions[-1].destroyed):
        return known.versions[-1].created
    current = store.read(path)
    first = current.created
    for version in reversed(known.versions):
        if version.number >= current.version or version.deleted or version.destroyed:
            continue
        before = store.read(path, version.number)
        if any(before.fields.get(name) != current.fields.get(name) for name in part.fields):
            return first
        first = before.created
    return known.created
