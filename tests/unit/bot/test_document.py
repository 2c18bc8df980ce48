"""Vault records become freqtrade's configuration: every field under its name, nothing unknown, no login."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from nasos.bot import document
from nasos.errors import BotError
from nasos.secret import Secret

API = {"username": "u", "password": "p", "ws_token": "w"}
JWT = {"jwt_secret_key": "k" * 32}


@dataclass(frozen=True)
class Record:
    """As `nasos.vault` has it."""

    fields: Mapping[str, Secret]
    version: int = 1


def record(**fields: str) -> Record:
    """A record of plain values."""
    return Record({name: Secret(value) for name, value in fields.items()})


def made(**records: Record) -> dict[str, dict[str, object]]:
    """The document, as freqtrade reads it."""
    decoded: dict[str, dict[str, object]] = json.loads(document.encode(document.document(records, None)))
    return decoded


def test_each_record_has_its_section() -> None:
    """Names of records and of freqtrade's sections differ for the API only."""
    assert made(
        api=record(**API),
        jwt=record(**JWT),
        telegram=record(token="t", chat_id="1", authorized_users="1, 2,"),
        discord=record(webhook_url="d"),
        webhook=record(url="w"),
        coingecko=record(api_key="c"),
    ) == {
        "api_server": API | JWT,
        "telegram": {"token": "t", "chat_id": "1", "authorized_users": ["1", "2"]},
        "discord": {"webhook_url": "d"},
        "webhook": {"url": "w"},
        "coingecko": {"api_key": "c"},
    }


@pytest.mark.parametrize("name", ["api_key", "apiKey", "key"])
def test_the_exchange_key_goes_in_under_the_name_that_wins(name: str) -> None:
    """An empty ``api_key`` in a file would beat any other name."""
    assert made(exchange=record(**{name: "k", "secret": "s", "uid": "1"})) == {
        "exchange": {"api_key": "k", "secret": "s", "uid": "1"}
    }


def test_one_thing_under_two_names_is_refused() -> None:
    """Which of them would be meant?"""
    with pytest.raises(BotError, match="holds api_key twice"):
        made(exchange=record(key="a", api_key="b"))


def test_the_database_record_stays_out() -> None:
    """It goes to the credential page."""
    assert made(db=record(username="u", password="p", role="a")) == {}


def test_a_record_that_is_no_part_of_freqtrade_is_left_out_by_name() -> None:
    """It is told, not passed on."""
    records = {
        "api": record(**API),
        "jwt": record(**JWT),
        "notes": record(text="x"),
        "db": record(username="u", password="p"),
    }
    assert document.left_out(records) == ["notes"]
    assert "notes" not in made(**records)


def test_a_misspelt_field_is_refused_with_the_nearest_name() -> None:
    """And its value is not in the error."""
    with pytest.raises(BotError, match="secrett") as caught:
        made(exchange=record(secrett="planted"))
    assert caught.value.hint == "did you mean secret?"
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("field", ["username", "password", "jwt_secret_key"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_api_record_that_opens_the_bot_to_anybody_is_refused(field: str, value: str | None) -> None:
    """Missing and empty alike."""
    whole = {"api": dict(API), "jwt": dict(JWT)}
    for fields in whole.values():
        if fields.pop(field, None) is not None and value is not None:
            fields[field] = value
    with pytest.raises(BotError, match=f"no {field}"):
        made(**{name: record(**fields) for name, fields in whole.items()})


def test_half_a_login_is_refused() -> None:
    """The key that signs in the record of the password is an unknown field there; alone it is no login."""
    with pytest.raises(BotError, match="freqtrade does not know"):
        made(api=record(**API, **JWT))
    with pytest.raises(BotError, match="no username"):
        made(jwt=record(**JWT))


def test_a_short_jwt_key_is_refused_before_freqtrade_quotes_it() -> None:
    """31 characters are too few; the error holds none of them."""
    with pytest.raises(BotError, match="shorter than 32") as caught:
        made(api=record(**API), jwt=record(jwt_secret_key="planted" + "x" * 24))
    assert "planted" not in f"{caught.value}{caught.value.hint}"


def test_values_arrive_as_they_are() -> None:
    """Unicode, quotes and newlines (PEM keys) survive; a number stays text."""
    odd = '0123 "ключ"\n-----END-----\\'
    assert made(exchange=record(secret=odd, password="1e10")) == {"exchange": {"secret": odd, "password": "1e10"}}


def test_a_database_login_needs_both_halves() -> None:
    """The missing one is named."""
    assert document.database_credential(record(username="u", password="p")).username == "u"
    with pytest.raises(BotError, match="has no password"):
        document.database_credential(record(username="u"))


def test_ordinary_words_are_not_cut_out_of_the_output() -> None:
    """A user name like ``freqtrade`` would empty every log line."""
    values = document.confidential([record(username="freqtrade", role="a", password="p", token="t")])
    assert [value.reveal() for value in values] == ["p", "t"]
