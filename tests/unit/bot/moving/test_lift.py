"""Secrets out of a configuration: what goes where, what is left, what is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from nasos.bot import document
from nasos.bot.configuration import merged
from nasos.bot.freqtrade import secrets_in
from nasos.bot.known import places, value_at
from nasos.bot.moving.lift import Layer, Lifted, lift
from nasos.errors import BotError
from nasos.secret import Secret
from nasos.vault.memory import MemoryStore


def lifted(*contents: dict[str, Any]) -> Lifted:
    """Weakest first."""
    return lift([Layer(f"file{number}", content) for number, content in enumerate(contents)])


def fields(found: Lifted) -> dict[str, dict[str, str]]:
    """The records as plain text."""
    return {name: {field: value.reveal() for field, value in each.items()} for name, each in found.records.items()}


def test_a_key_is_absent_afterwards_and_not_empty() -> None:
    """An empty ``api_key`` in the file would beat the one that is injected."""
    found = lifted({"exchange": {"name": "binance", "key": "k", "secret": "s", "password": ""}})
    assert fields(found) == {"exchange": {"api_key": "k", "secret": "s"}}
    assert found.cleaned == ({"exchange": {"name": "binance"}},)
    assert found.remarks == ("exchange.password in file0 is empty and is taken out",)


def test_the_strongest_file_and_the_first_alias_win_as_for_freqtrade() -> None:
    """What was overridden is taken out, told, and in no record."""
    found = lifted(
        {"exchange": {"key": "weak", "secret": "same"}, "telegram": {"token": "old"}},
        {"exchange": {"apiKey": "strong", "secret": "same"}, "telegram": {"token": "new"}},
    )
    assert fields(found) == {"exchange": {"api_key": "strong", "secret": "same"}, "telegram": {"token": "new"}}
    assert found.cleaned == ({"exchange": {}, "telegram": {}}, {"exchange": {}, "telegram": {}})
    assert set(found.remarks) == {
        "exchange.key in file0 is overridden; it goes to the backup only",
        "telegram.token in file0 is overridden; it goes to the backup only",
    }


def test_an_empty_first_alias_does_not_hide_the_key_that_is_there() -> None:
    """freqtrade would have used the empty one, and no key at all; nobody means that."""
    assert fields(lifted({"exchange": {"api_key": "", "key": "k"}})) == {"exchange": {"api_key": "k"}}


def test_headers_proxies_and_producers_become_records_of_their_own() -> None:
    """Only what is secret: other options of ccxt stay."""
    producers = [{"name": "default", "host": "10.0.0.1", "port": 8080, "ws_token": "t"}]
    found = lifted(
        {
            "exchange": {
                "ccxt_config": {"httpsProxy": "http://u:p@proxy", "timeout": 9, "options": {"a": 1}},
                "ccxt_sync_config": {"headers": {"X": "h"}, "httpProxy": "http://proxy"},
            },
            "external_message_consumer": {"enabled": True, "producers": producers},
        }
    )
    kept = fields(found)
    assert kept["ccxt"] == {"httpsProxy": "http://u:p@proxy"}
    assert json.loads(kept["ccxt_sync"]["headers"]) == {"X": "h"}
    assert json.loads(kept["consumer"]["producers"]) == producers
    assert found.cleaned[0] == {
        "exchange": {
            "ccxt_config": {"timeout": 9, "options": {"a": 1}},
            "ccxt_sync_config": {"httpProxy": "http://proxy"},
        },
        "external_message_consumer": {"enabled": True},
    }


def test_lists_and_numbers_become_text_that_comes_back() -> None:
    """Several tokens are one field; a number is told, because freqtrade wants text."""
    found = lifted(
        {"api_server": {"ws_token": ["a", "b"], "password": 12345}, "telegram": {"authorized_users": ["1", "2"]}}
    )
    assert fields(found) == {
        "api": {"ws_token": '["a", "b"]', "password": "12345"},
        "telegram": {"authorized_users": "1,2"},
    }
    assert "is a number; it is stored as text" in found.remarks[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"exchange": {"secret": ["planted"]}}, "exchange.secret in file0 is a list"),
        ({"exchange": {"secret": {"planted": 1}}}, "exchange.secret in file0 is an object"),
        ({"telegram": {"token": True}}, "telegram.token in file0 is true or false"),
        ({"webhook": {"url": 1.5}}, "webhook.url in file0 is a fraction"),
        ({"api_server": {"ws_token": ["planted", None]}}, "api_server.ws_token in file0 is a list"),
    ],
)
def test_a_type_that_freqtrade_could_not_use_is_refused(content: dict[str, Any], words: str) -> None:
    """By file, key and type; the value is not shown."""
    with pytest.raises(BotError) as caught:
        lifted(content)
    assert words in caught.value.message
    assert "planted" not in caught.value.message


def test_sections_of_another_type_are_left_alone() -> None:
    """A section that is no object holds no key; freqtrade's schema will say so."""
    content: dict[str, Any] = {
        "exchange": [],
        "telegram": None,
        "api_server": "x",
        "external_message_consumer": {"producers": 1},
    }
    assert lifted(content).cleaned == (content,)


TEXT = some.text(some.characters(codec="utf-8"), max_size=8)
SECTION = {
    "exchange": ("api_key", "apiKey", "key", "secret", "password", "uid", "name", "private_key"),
    "telegram": ("token", "chat_id", "enabled"),
    "api_server": ("ws_token", "listen_port"),
    "webhook": ("url",),
}
FILES = some.lists(
    some.fixed_dictionaries(
        {},
        optional={
            name: some.dictionaries(some.sampled_from(keys), TEXT | some.none(), max_size=5)
            for name, keys in SECTION.items()
        }
        | {"stake_amount": some.integers(), "db_url": TEXT},
    ),
    min_size=1,
    max_size=3,
)


@given(FILES)
def test_clean_files_and_records_together_are_the_old_configuration(files: list[dict[str, Any]]) -> None:
    """What freqtrade reads afterwards is what it read before; and no file holds a secret any more."""
    found = lifted(*files)
    store = MemoryStore()
    for name, each in found.records.items():
        store.write(f"bots/b/{name}", each)
    records = {name: store.read(f"bots/b/{name}") for name in found.records if name not in ("api", "jwt")}
    clean = merged(*found.cleaned)
    assert list(secrets_in(clean)) == []
    assert list(places(clean)) == []
    after = merged(clean, json.loads(document.encode(document.document(records, None))))
    before = merged(*files)
    for place in places(before):
        if place.record in ("api", "jwt"):
            continue
        names = [each.keys for each in places(before) if (each.record, each.field) == (place.record, place.field)]
        effective = next((value_at(before, keys) for keys in names if value_at(before, keys)), None)
        assert value_at(after, (*place.keys[:-1], place.field)) == effective
    untouched = [key for key in before if key not in (*SECTION, "db_url")]
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}


def test_a_secret_is_never_shown() -> None:
    """Not by the result, not by its parts."""
    found = lifted({"exchange": {"key": "planted", "secret": "planted"}})
    assert "planted" not in repr(found)
    assert isinstance(found.records["exchange"]["secret"], Secret)
