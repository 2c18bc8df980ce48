"""What was last learnt of the exchange's keys, and who was told that one grows old: kept in Vault, without a value.

Rules: facts belong to one version of the secret and are worth nothing for another; a look needs no network, a probe is
asked for by name. A reminder is given once per step as the date nears, on whatever machine the look is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from nasos.errors import SecretDeleted, SecretNotFound
from nasos.exchange.key import Facts
from nasos.exchange.reminder import Due, due, news
from nasos.ledger import Outcome
from nasos.rotation.run import Tell
from nasos.secret import Secret
from nasos.vault.store import SecretStore

PREFIX: Final = "_rotation/_keys-"
"""One record per bot, beside the journals: a name with an underscore is none of theirs."""
_STATE: Final = "state"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one version of a key."""

    version: int = 0
    exchange: str = ""
    probed: datetime | None = None
    rights: tuple[str, ...] = ()
    bound: bool | None = None
    created: datetime | None = None
    expires: datetime | None = None
    told: int | None = None
    """The last reminder (`reminder.step`)."""
    told_for: datetime | None = None
    """The date that it was about."""

    @classmethod
    def of(cls, version: int, exchange: str, facts: Facts, now: datetime) -> Known:
        """What was just told."""
        return cls(
            version=version,
            exchange=exchange,
            probed=now,
            rights=tuple(sorted(facts.rights)),
            bound=facts.bound,
            created=facts.created,
            expires=facts.expires,
        )


@dataclass(frozen=True, slots=True)
class Watched:
    """One bot's key, as it is seen without asking the exchange."""

    name: str
    version: int
    since: datetime
    """When it was made at the exchange, where that is known; else when it was stored."""
    due: Due
    known: Known


def names(store: SecretStore) -> list[str]:
    """Every bot's key that is stored."""
    bots = [entry for entry in store.list("nasos/bots") if entry.endswith("/")]
    return [f"bots/{bot}exchange" for bot in bots if "exchange" in store.list(f"nasos/bots/{bot}".rstrip("/"))]


def watched(store: SecretStore, name: str, days: int) -> Watched | None:
    """A key by its name; None when there is none (any more).

    Raises:
        VaultError: Vault cannot be asked.
    """
    try:
        versions = store.metadata(f"nasos/{name}").versions
    except SecretNotFound:
        return None
    if not versions or versions[-1].deleted or versions[-1].destroyed:
        return None
    known = recall(store, name)
    if known.version != versions[-1].number:
        known = Known(version=versions[-1].number)
    since = known.created or versions[-1].created
    return Watched(name, known.version, since, due(since, days, known.expires), known)


def learn(store: SecretStore, name: str, found: Known) -> None:
    """Keep what an exchange told; who was reminded of this very version stays known."""
    before = recall(store, name)
    if before.version == found.version:
        found = msgspec.structs.replace(found, told=before.told, told_for=before.told_for)
    _keep(store, name, found)


def remind(store: SecretStore, key: Watched, tell: Tell, now: datetime) -> bool:
    """Tell that a key's date nears, unless that was told; whether it was told now."""
    told = key.known.told if key.known.told_for == key.due.at else None
    step = news(key.due.at, now, told)
    if step is None:
        return False
    why = {"age": "the limit of api_key_days", "expiry": "the exchange ends it"}[key.due.reason]
    left = (key.due.at - now).days
    detail = {"date": f"{key.due.at:%Y-%m-%d}", "days left": str(left), "why": why}
    tell("rotation.reminder", key.name, Outcome.OK if left >= 0 else Outcome.FAILED, detail)
    # Afterwards: ended in between it is told twice, and not never.
    _keep(store, key.name, msgspec.structs.replace(key.known, told=step, told_for=key.due.at))
    return True


def recall(store: SecretStore, name: str) -> Known:
    """What was kept; nothing, where it cannot be understood."""
    try:
        return msgspec.json.decode(store.read(_path(name)).fields[_STATE].reveal(), type=Known)
    except (SecretNotFound, SecretDeleted, KeyError, msgspec.MsgspecError):
        return Known()


def _keep(store: SecretStore, name: str, known: Known) -> None:
    store.write(_path(name), {_STATE: Secret(msgspec.json.encode(known).decode())})


def _path(name: str) -> str:
    return f"nasos/{PREFIX}{name.split('/')[1]}"
