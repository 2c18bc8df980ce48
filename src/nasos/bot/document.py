"""Vault records become the part of freqtrade's configuration that is secret.

Rules:

* Field names are freqtrade's own; an unknown field is refused with the nearest known one, so that a typing error
  cannot start a bot without its key.
* The exchange key goes in as ``api_key`` always: freqtrade takes ``api_key``, ``apiKey``, ``key`` in this order *by
  presence*, so that an empty ``api_key`` in a file would beat a ``key`` of ours.
* The database login is never in the document: its record goes to the credential page (`credential.py`).
* What freqtrade's schema would refuse is refused here: freqtrade logs the offending value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from nasos.bot.credential import Credential
from nasos.bot.packed import inner, leaves, unpack
from nasos.bot.records import Record, Records
from nasos.errors import BotError
from nasos.secret import Secret

DATABASE: Final = "db"
LOGIN: Final = ("api", "jwt")
"""Records that open the bot's API; the key that signs stands alone, because the gateway may read that one only."""

SECTIONS: Final[Mapping[str, str]] = {
    "api": "api_server",
    "coingecko": "coingecko",
    "discord": "discord",
    "exchange": "exchange",
    "jwt": "api_server",
    "telegram": "telegram",
    "webhook": "webhook",
}
"""Record name -> section of freqtrade's configuration."""

NESTED: Final[Mapping[str, tuple[str, ...]]] = {
    "ccxt": ("exchange", "ccxt_config"),
    "ccxt_async": ("exchange", "ccxt_async_config"),
    "ccxt_sync": ("exchange", "ccxt_sync_config"),
    "consumer": ("external_message_consumer",),
}
"""Record name -> where its fields go, as texts or as packed structures (`packed.py`): headers, proxies, producers."""

ALIASES: Final = {
    "apiKey": "api_key",
    "key": "api_key",
    "privateKey": "private_key",
    "accountId": "account_id",
    "walletAddress": "wallet_address",
}

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("username", "password", "ws_token"),
    "coingecko": ("api_key",),
    "discord": ("webhook_url",),
    "exchange": ("api_key", "secret", "password", "uid", "account_id", "wallet_address", "private_key", *ALIASES),
    "jwt": ("jwt_secret_key",),
    "telegram": ("token", "chat_id", "topic_id", "authorized_users"),
    "webhook": ("url",),
}
"""Record name -> the fields that freqtrade knows and that are secret or identify the operator."""

IDENTIFYING: Final = frozenset({"username", "chat_id", "topic_id", "authorized_users"})
"""Fields that may also stand in a file: they name the operator and open nothing."""

PUBLIC: Final = frozenset({"username", "role", "topic_id"})
"""Words too ordinary to be cut out of every log line; they open nothing by themselves."""

JWT_MINIMUM: Final = 32
"""Characters; ``minLength`` of ``api_server.jwt_secret_key`` in freqtrade's schema."""


def document(records: Records, database_url: str | None) -> dict[str, object]:
    """The secret part of the configuration; its leaves are `Secret`. ``database_url`` holds no secret.

    Raises:
        BotError: A record has an unknown field or a value that freqtrade would refuse; names both, never the value.
    """
    sections: dict[str, dict[str, object]] = {}
    for name in sorted(records.keys() & SECTIONS.keys()):
        sections.setdefault(SECTIONS[name], {}).update(_section(name, records[name].fields))
    if any(name in records for name in LOGIN):
        _require_login(login(records))
    result: dict[str, object] = {**sections}
    for name in sorted(records.keys() & NESTED.keys()):
        _place(result, NESTED[name], {field: unpack(value) for field, value in records[name].fields.items()})
    if database_url is not None:
        result["db_url"] = database_url
    return result


def login(records: Records) -> dict[str, Secret]:
    """What opens the bot's API, of both records."""
    return {field: value for name in LOGIN if name in records for field, value in records[name].fields.items()}


def encode(content: Mapping[str, object]) -> bytes:
    """``content`` as JSON, its secrets revealed: for the order line and nothing else."""
    return json.dumps(content, default=_revealed).encode()


def left_out(records: Records) -> list[str]:
    """Names of records that are no part of freqtrade's configuration."""
    return sorted(records.keys() - SECTIONS.keys() - NESTED.keys() - {DATABASE})


def confidential(records: Iterable[Record]) -> list[Secret]:
    """The values that must not be seen in any output."""
    found = [value for record in records for name, value in record.fields.items() if name not in PUBLIC]
    return list(inner(found))


def texts(content: Mapping[str, object]) -> Iterator[str]:
    """The secret texts of a document that was read back, however deep they stand."""
    for section in content.values():
        if isinstance(section, Mapping):
            yield from leaves({name: value for name, value in section.items() if name not in PUBLIC})


def database_credential(record: Record) -> Credential:
    """The database login in ``record``.

    Raises:
        BotError: A field is missing or empty.
    """
    missing = [name for name in ("username", "password") if not record.fields.get(name)]
    if missing:
        raise BotError(f"the database record has no {' and no '.join(missing)}", "nasos secret history bots/BOT/db")
    return Credential(record.version, record.fields["username"].reveal(), record.fields["password"])


def _section(name: str, fields: Mapping[str, Secret]) -> dict[str, object]:
    section: dict[str, object] = {}
    for field, value in fields.items():
        if field not in FIELDS[name]:
            raise _unknown(name, field)
        target = ALIASES.get(field, field) if name == "exchange" else field
        if target in section:
            raise BotError(f'the record "{name}" holds {target} twice, under two names', "keep one of them")
        section[target] = _LISTS.get(field, _same)(value)
    return section


def _place(document: dict[str, object], keys: tuple[str, ...], content: dict[str, object]) -> None:
    for key in keys[:-1]:
        document = document.setdefault(key, {})  # type: ignore[assignment]  # our own nesting
    document[keys[-1]] = content


def _unknown(name: str, field: str) -> BotError:
    import difflib

    close = difflib.get_close_matches(field, FIELDS[name], n=1)
    hint = f"did you mean {close[0]}?" if close else f"freqtrade knows {', '.join(FIELDS[name])}"
    return BotError(f'the record "{name}" has a field {field!r} that freqtrade does not know', hint)


def _require_login(fields: Mapping[str, Secret]) -> None:
    for record, field in (("api", "username"), ("api", "password"), ("jwt", "jwt_secret_key")):
        if not fields.get(field):
            raise BotError(f'the record "{record}" has no {field}: anybody could log in to the bot', "nasos up")
    if too_short(fields["jwt_secret_key"]):
        raise BotError(
            f'the record "jwt" has a jwt_secret_key shorter than {JWT_MINIMUM} characters',
            "nasos secret set bots/BOT/jwt --field jwt_secret_key",
        )


def too_short(key: Secret) -> bool:
    """Whether freqtrade would refuse this ``jwt_secret_key``."""
    return len(key.reveal()) < JWT_MINIMUM


def _same(value: Secret) -> object:
    return value


def _split(value: Secret) -> object:
    return [Secret(part.strip()) for part in value.reveal().split(",") if part.strip()]


# Several websocket tokens are a packed list; one is a text, whatever is in it.
_LISTS: Final[Mapping[str, Callable[[Secret], object]]] = {"authorized_users": _split, "ws_token": unpack}


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"the document cannot hold {type(value).__name__}")
