"""The inventory of this stack: every field in Vault and every private file, each with what becomes of it.

Rules: names and dates only; the server is asked for the names of fields (``subkeys``), never for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from nasos.checks.exposure import MAP
from nasos.errors import SecretDeleted, SecretNotFound, VaultRefused
from nasos.rotation.engine import Engine
from nasos.rotation.inventory import OUTSIDE, Row, following, in_vault, on_disk
from nasos.rotation.timetable import Line, line, policy
from nasos.stack.embedded import Stack
from nasos.stack.rotation.timetable import stored
from nasos.vault import VaultClient

SECRET: Final = 0o600


def inventory(stack: Stack, engine: Engine, lines: Sequence[Line], asker: VaultClient, now: datetime) -> list[Row]:
    """Every row; ``asker`` may see which fields there are, as the role ``checker`` may.

    Raises:
        VaultError: Vault cannot be asked.
    """
    by_name = {each.name: each for each in lines}
    found = [*_vault(stack, engine, by_name, asker), *_files(stack, by_name, now)]
    elsewhere = engine.procedures.keys() - {row.by for row in found}  # in the server itself
    return [*found, *(following(name, "", by_name.get(name), name) for name in sorted(elsewhere)), *OUTSIDE]


def _vault(stack: Stack, engine: Engine, lines: dict[str, Line], asker: VaultClient) -> Iterator[Row]:
    schedule = stack.settings.rotation.schedule
    for place, _ in stored(engine.store):
        for field in fields(asker, place):
            rotates = [
                unit.name
                for unit in engine.units.values()
                for part in unit.parts
                if part.name == place and (not part.fields or field in part.fields)
            ]
            yield in_vault(place, field, lines, rotates, schedule)


def fields(asker: VaultClient, place: str) -> list[str]:
    """Names of the newest version's fields.

    Raises:
        VaultError: Vault cannot be asked.
    """
    try:
        answer = asker.session.request("GET", f"kv/subkeys/nasos/{place}")
    except (SecretNotFound, SecretDeleted):  # since it was listed
        return []
    try:
        return sorted(msgspec.convert(answer.get("data"), _Subkeys).subkeys)
    except msgspec.ValidationError:
        raise VaultRefused("the answer about a secret's fields cannot be understood", "check VAULT_ADDR") from None


class _Subkeys(msgspec.Struct):
    subkeys: dict[str, object]


def _files(stack: Stack, lines: dict[str, Line], now: datetime) -> Iterator[Row]:
    home, settings = stack.home.root, stack.settings
    found = [path for listed in MAP if listed.mode == SECRET for path in sorted(home.glob(listed.pattern))]
    places = {str(path.relative_to(home)): path for path in found}
    if settings.vault.seal == "static":
        key = stack.home.key_path(settings, stack.record)
        places |= {path.name: path for path in (key, key.with_name(f"{key.name}.next")) if path.exists()}
    for place, path in places.items():
        chosen = policy(place, settings.rotation.schedule, rotates=False)
        since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        yield on_disk(place, line(place, chosen, since=since, now=now), lines)
